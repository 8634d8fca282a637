from __future__ import annotations

from typing import Any

import pytest

from tests.unit.data.shaping.shaped import ASSISTANT, USER, alone, layouts, reason, shaped, turns
from tunesmith.data.reading.source_row import JsonNumber
from tunesmith.data.templates import instruction_prompt

WORSE = {"role": "assistant", "content": "No idea."}
DIALOGUE = [("user", "Who are you?"), ("assistant", "A model.")]
PAIRS = layouts({"prompt": "Which planet is red?", "chosen": "Mars", "rejected": "Venus"})


def pair(**values: Any) -> Any:
    return shaped(
        PAIRS, **{"prompt": "Which planet is red?", "chosen": "Mars", "rejected": "Venus", **values}
    )


def test_the_better_answer_is_learned_and_the_worse_one_kept() -> None:
    row = pair()
    assert (row.prompt, row.completion, row.rejected) == (
        instruction_prompt("Which planet is red?"),
        "Mars",
        "Venus",
    )
    with_input = alone(instruction="i", input="x", output="whole", chosen="c", rejected="r")
    assert (with_input.prompt, with_input.completion) == (instruction_prompt("i", "x"), "c")


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [WORSE]},
        {
            "prompt": "Who are you?",
            "chosen": [USER, ASSISTANT],
            "rejected": [USER, WORSE],
            "messages": [USER, ASSISTANT],
        },
        {"prompt": "Who are you?", "chosen": [ASSISTANT], "rejected": [WORSE]},
        {"chosen": [USER, ASSISTANT], "rejected": [USER, WORSE]},
        {
            "conversations": [{"from": "human", "value": "Who are you?"}],
            "chosen": {"from": "gpt", "value": "A model."},
            "rejected": {"from": "gpt", "value": "No idea."},
        },
        {
            "chosen": "\n\nHuman: Who are you?\n\nAssistant: A model.",
            "rejected": "\n\nHuman: Who are you?\n\nAssistant: No idea.",
        },
        {"prompt": "\n\nHuman: Who are you?\n\nAssistant:", "chosen": "A model.", "rejected": "No idea."},
    ],
)  # fmt: skip
def test_pairs_of_conversations(values: dict[str, Any]) -> None:
    row = alone(**values)
    assert (turns(row), row.rejected, row.notes) == (DIALOGUE, "No idea.", ())


def test_a_system_column_and_scores_are_not_lost() -> None:
    row = alone(
        system="Be nice.",
        question="Who are you?",
        chosen="A model.",
        rejected="No.",
        score_chosen=JsonNumber("8.50"),
    )
    assert turns(row) == [("system", "Be nice."), *DIALOGUE]
    assert row.extras == {"score_chosen": "8.50"}


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"rejected": "Mars"}, "chosen_equals_rejected"),
        ({"rejected": " Mars\n"}, "differ_only_in_whitespace"),
        ({"rejected": ""}, "missing_rejected"),
        ({"rejected": None}, "missing_rejected"),
        ({"rejected": 7.5}, None),
        (
            {"chosen": "Which planet is red? Mars", "rejected": "Which planet is red? Venus"},
            "prompt_in_answers",
        ),
    ],
)
def test_a_pair_that_teaches_no_preference_is_kept_and_remarked_on(
    changes: dict[str, Any], note: str | None
) -> None:
    assert pair(**changes).notes == (() if note is None else (note,))


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"chosen": None}, "missing_field"), ({"chosen": " "}, "empty"), ({"prompt": ""}, "empty")],
)
def test_a_pair_without_a_better_answer_cannot_be_used(changes: dict[str, Any], why: str) -> None:
    values = {"prompt": "p", "chosen": "c", "rejected": "r", **changes}
    assert reason(PAIRS, **values) == why


def test_a_pair_that_lacks_its_better_answer_is_not_read_as_something_else() -> None:
    assert reason(PAIRS, prompt="p", rejected="r") == "missing_field"
    assert pair().rejected == "Venus"
    del_rejected = {"prompt": "Which planet is red?", "chosen": "Mars"}
    assert shaped(PAIRS, **del_rejected).notes == ("missing_rejected",)
