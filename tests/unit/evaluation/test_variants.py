"""What stands around a prompt, in text and in chats, and where examples come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunesmith.data.rows import Message, Row, write_rows
from tunesmith.evaluation.variants import Variants
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import PromptVariant
from tunesmith.training.rendering import NO_LOSS, Renderer

Make = Callable[..., Variants]


@pytest.fixture
def make(store: Store, tokenizer: Any, add_golden_set: Any, golden_rows: list[Row]) -> Make:
    """Variants over a golden set whose training rows are `training`."""

    def make(variant: PromptVariant, training: list[Row], room: int = 200) -> Variants:
        card: GoldenSetCard = add_golden_set(training)
        folder = store.handle(card.train_dataset_id).rows
        folder.mkdir(parents=True)
        write_rows(folder / "part-00000.parquet", training, card.row_kind)
        return Variants(store, card, Renderer(tokenizer, card.row_kind, 96), [variant], room)

    return make


def pairs(count: int, answer: str = "it is red.") -> list[Row]:
    return [Row(number=at, prompt=f"{at}? ", completion=answer) for at in range(1, count + 1)]


def chats(count: int) -> list[Row]:
    return [
        Row(number=at, messages=(Message("user", f"{at}?"), Message("assistant", "red.")))
        for at in range(count)
    ]


def test_system_examples_and_template_stand_around_a_prompt_in_text(
    make: Make, golden_rows: list[Row]
) -> None:
    variant = PromptVariant(system="Name colours.", template="<<{prompt}>> {json}: ", few_shot=2)

    around = make(variant, pairs(3)).around(golden_rows[:1], variant)

    lead, first, second, own = around.rows[0].prompt.split("\n\n")
    assert lead == "Name colours."
    assert own == "<<colour of the apple? >> {json}: ", "other braces are text"
    assert all(
        shown.startswith("<<") and shown.endswith("? >> {json}: it is red.") for shown in (first, second)
    )
    assert first != second
    assert around.rows[0].completion == golden_rows[0].completion
    assert around.until == "\n\n"


def test_the_same_seed_draws_the_same_examples_and_another_seed_others(
    make: Make, golden_rows: list[Row]
) -> None:
    variants = make(PromptVariant(few_shot=3), pairs(60))

    def drawn(seed: int) -> str:
        return variants.around(golden_rows[:1], PromptVariant(few_shot=3, seed=seed)).rows[0].prompt

    assert drawn(0) == drawn(0) and len({drawn(seed) for seed in range(5)}) > 1


def test_what_stands_between_examples_stands_in_none_of_their_answers(
    make: Make, golden_rows: list[Row]
) -> None:
    variant = PromptVariant(few_shot=1)

    around = make(variant, pairs(3, answer="red.\n\nAnd green.")).around(golden_rows[:1], variant)

    assert around.until == "\n\n---\n\n" and around.until in around.rows[0].prompt


def test_examples_of_a_chat_are_turns_before_it_that_carry_no_loss(
    make: Make, tokenizer: Any, chat_rows: list[Row]
) -> None:
    variant = PromptVariant(system="Name colours.", template="Q: {prompt}", few_shot=1)
    variants = make(variant, chats(4))

    around = variants.around(chat_rows[:1], variant)

    turns = around.rows[0].messages
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user", "assistant"]
    assert turns[1].content.startswith("Q: ") and turns[3].content == f"Q: {chat_rows[0].messages[0].content}"
    assert around.until is None
    rendered = Renderer(tokenizer, "messages", 200).render(around.rows[0])
    learned = [
        token for token, label in zip(rendered.input_ids, rendered.labels, strict=True) if label != NO_LOSS
    ]
    assert "red." not in tokenizer.decode(learned) and "green" in tokenizer.decode(learned)


def test_a_template_is_about_the_last_question_of_a_conversation_alone(make: Make) -> None:
    variant = PromptVariant(template="Q: {prompt}")
    row = Row(
        number=1,
        messages=(
            Message("system", "s"),
            Message("user", "first"),
            Message("assistant", "a"),
            Message("user", "last"),
            Message("assistant", "b"),
        ),
    )

    turns = make(variant, chats(1)).around([row], variant).rows[0].messages

    assert [turn.content for turn in turns] == ["s", "first", "a", "Q: last", "b"]


def test_rows_that_are_too_long_or_no_single_exchange_serve_as_no_example(make: Make) -> None:
    tools = Row(
        number=8,
        messages=(Message("user", "x"), Message("assistant", "", tool_calls="[{}]")),
    )
    longer = Row(number=9, messages=(*chats(1)[0].messages, *chats(1)[0].messages))

    with pytest.raises(InvalidArgument) as refused:
        make(PromptVariant(few_shot=2), [*chats(1), tools, longer])
    assert "few_shot=2 is more than can be shown: of 3 training rows" in refused.value.message
    with pytest.raises(InvalidArgument, match="0 have one answer to one message and at most 2 tokens"):
        make(PromptVariant(few_shot=2), pairs(5), room=4)


def test_nothing_around_changes_nothing(make: Make, golden_rows: list[Row]) -> None:
    plain = PromptVariant()

    assert make(plain, pairs(1)).around(golden_rows, plain).rows == golden_rows
