"""Asking a person: whom, how long, and what counts as an answer."""

from __future__ import annotations

from types import SimpleNamespace

import anyio
import pytest
from mcp.types import ElicitResult

from tunesmith.server import asking
from tunesmith.server.asking import AnswersNeeded, person_behind
from tunesmith.tools.asking import Question

pytestmark = pytest.mark.anyio
FORM = SimpleNamespace(form=SimpleNamespace(), url=None)
QUESTIONS = [
    Question(f"cmp-x/{number}", f"question {number}", "Better", ("yes", "no")) for number in range(1, 9)
]


def context(elicitation=FORM, version="2026-07-28", responses=None, elicit_form=None, can_send=True):
    """What the SDK gives a tool."""
    return SimpleNamespace(
        client_capabilities=SimpleNamespace(elicitation=elicitation),
        protocol_version=version,
        input_responses=responses,
        session=SimpleNamespace(can_send_request=can_send, elicit_form=elicit_form),
        request_id="1",
    )


def chosen(option):
    return ElicitResult(action="accept", content={"choice": option})


async def answers(person):
    return [(question.key, option) async for question, option in person.ask(QUESTIONS)]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, True),
        (
            {"elicitation": SimpleNamespace(form=None, url=None)},
            True,
        ),  # as clients said it before there were modes
        ({"elicitation": SimpleNamespace(form=None, url=SimpleNamespace())}, False),
        ({"elicitation": None}, False),
        ({"version": "2025-11-25"}, True),
        ({"version": "2025-11-25", "can_send": False}, False),
    ],
)
async def test_only_a_client_with_forms_and_a_way_to_get_them_is_asked(given, asked):
    assert (person_behind(context(**given)) is not None) is asked


async def test_questions_come_five_at_a_time_and_in_no_more_than_two_rounds():
    with pytest.raises(AnswersNeeded) as first:
        await answers(person_behind(context()))
    assert list(first.value.questions) == [f"1:cmp-x/{number}" for number in range(1, 6)]
    with pytest.raises(AnswersNeeded) as second:
        given = {key: chosen("yes") for key in first.value.questions}
        await answers(person_behind(context(responses=given)))
    assert list(second.value.questions) == [f"2:cmp-x/{number}" for number in (6, 7, 8)]
    given = {"2:cmp-x/6": chosen("no")}
    assert await answers(person_behind(context(responses=given))) == [("cmp-x/6", "no")]


@pytest.mark.parametrize(
    "given",
    [
        {"cmp-x/1": chosen("yes"), "9" * 5000 + ":cmp-x/1": chosen("yes"), "2:cmp-y/1": chosen("yes")},
        {"2:cmp-x/1": chosen("perhaps")},
        {"2:cmp-x/1": chosen(["yes"])},
        {"2:cmp-x/1": ElicitResult(action="accept")},
        {"2:cmp-x/1": SimpleNamespace(action="accept", content={"choice": "yes"})},
        {"2:cmp-x/1": ElicitResult(action="cancel")},
    ],
)
async def test_what_is_no_answer_to_what_was_asked_does_not_count(given):
    assert await answers(person_behind(context(responses=given))) == []


async def test_a_person_who_says_nothing_in_mid_call_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(asking, "_PATIENCE_S", 0.05)
    sent = []

    async def elicit_form(message, **_):
        sent.append(message)
        if len(sent) == 2:
            await anyio.sleep_forever()
        return chosen("yes")

    person = person_behind(context(version="2025-11-25", elicit_form=elicit_form))

    with anyio.fail_after(10):
        assert await answers(person) == [("cmp-x/1", "yes")]
    assert sent == ["question 1", "question 2"]
