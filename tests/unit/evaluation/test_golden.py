from __future__ import annotations

import copy
from typing import Any

import pytest

from tunesmith.data.rows import Message, Row
from tunesmith.evaluation.golden import render_rows
from tunesmith.evaluation.variants import put_before
from tunesmith.training.rendering import PROMPT_TOO_LONG, Renderer

NO_SYSTEM = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}"
    "[{{ message['role'] }}]{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
DEAF = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "[{{ message['role'] }}]{{ message['content'] }}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def own_tokenizer(tokenizer: Any) -> Any:
    return copy.deepcopy(tokenizer)


def test_a_prompt_variant_stands_before_each_rows_prompt(own_tokenizer: Any, golden_rows: list[Row]) -> None:
    renderer = Renderer(own_tokenizer, "prompt_completion", None)

    assert put_before(renderer, golden_rows, "Be brief.")[0].prompt == "Be brief.\n\ncolour of the apple? "
    assert put_before(renderer, golden_rows, "Q: ")[0].prompt == "Q: colour of the apple? "


def test_in_a_chat_a_prompt_variant_is_the_system_message(own_tokenizer: Any, chat_rows: list[Row]) -> None:
    renderer = Renderer(own_tokenizer, "messages", None)
    has_one = [Row(1, messages=(Message("system", "You paint."), *chat_rows[0].messages))]

    assert put_before(renderer, chat_rows, "Be brief.")[0].messages[0] == Message("system", "Be brief.")
    assert put_before(renderer, has_one, "Be brief.")[0].messages[0] == Message(
        "system", "Be brief.\n\nYou paint."
    )


def test_in_a_mixed_set_a_prompt_variant_goes_where_each_row_has_it(
    own_tokenizer: Any, golden_rows: list[Row], chat_rows: list[Row]
) -> None:
    renderer = Renderer(own_tokenizer, "mixed", None)
    rows = [golden_rows[0], chat_rows[1]]

    changed = put_before(renderer, rows, "Be brief.")

    assert changed[0].prompt == "Be brief.\n\ncolour of the apple? "
    assert changed[1].messages[0] == Message("system", "Be brief.")
    assert [row.reference for row in render_rows(renderer, changed).rows] == [
        "the apple is green.",
        "the pear is green.",
    ]


@pytest.mark.parametrize("template", [NO_SYSTEM, DEAF], ids=["refuses", "ignores"])
def test_where_a_template_has_no_system_message_the_variant_leads_the_first_turn(
    template: str, own_tokenizer: Any, chat_rows: list[Row]
) -> None:
    own_tokenizer.chat_template = template
    renderer = Renderer(own_tokenizer, "messages", None)

    assert put_before(renderer, chat_rows, "Be brief.")[0].messages[0] == Message(
        "user", "Be brief.\n\ncolour of the apple? "
    )


def test_rows_that_do_not_fit_are_counted_by_reason(own_tokenizer: Any, golden_rows: list[Row]) -> None:
    long = Row(99, prompt="colour " * 50, completion="green")

    golden = render_rows(Renderer(own_tokenizer, "prompt_completion", 40), [*golden_rows, long])

    assert [row.number for row in golden.rows] == [row.number for row in golden_rows]
    assert golden.dropped == {PROMPT_TOO_LONG: 1}


def test_the_bytes_of_an_answer_are_those_of_its_text(
    own_tokenizer: Any, golden_rows: list[Row], chat_rows: list[Row]
) -> None:
    accents = Row(99, prompt="colour? ", completion="naïve 🍐 zelená")

    pairs = render_rows(Renderer(own_tokenizer, "prompt_completion", None), [*golden_rows, accents]).rows
    chats = render_rows(Renderer(own_tokenizer, "messages", None), chat_rows).rows

    assert [row.answer_bytes for row in pairs] == [len(row.reference.encode()) for row in pairs]
    assert all(0 <= row.answer_bytes - len(row.reference.encode()) <= 1 for row in chats)  # a newline at most
