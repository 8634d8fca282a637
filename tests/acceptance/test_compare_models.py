"""compare_models through the real server: a person or the assistant votes without knowing whose answers are whose."""

from __future__ import annotations

import json

import pytest
from mcp.types import ElicitResult

from tests.support.server import ERAS, talk_to
from tests.support.written_comparisons import pair, plain_pairs, write_comparison
from tunesmith.jobs.paths import Store
from tunesmith.jobs.votes import read_votes

pytestmark = pytest.mark.anyio
by_era = pytest.mark.parametrize("era", ERAS)
TEXTS = ("untrusted_prompt", "untrusted_first", "untrusted_second")


class Person:
    """Prefers the answer of a, and after `patience` answers of a call wants to do something else."""

    def __init__(self, patience=100, choose=None):
        self.patience = patience
        self.choose = choose or (
            lambda text: "First answer" if text.index("> of a") < text.index("> of b") else "Second answer"
        )
        self.seen = []

    async def __call__(self, _context, request):
        self.seen.append(request)
        if len(self.seen) > self.patience:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"choice": self.choose(request.message)})


@pytest.fixture
def models(store_path):
    return {"a": "demo", "b": str(store_path.parent / "other")}


@by_era
async def test_a_person_is_asked_and_each_vote_is_on_record(store_path, models, era):
    paths = write_comparison(Store(store_path), plain_pairs(3))
    person = Person()

    async with talk_to(store_path, era, person=person) as talk:
        result = await talk("compare_models", **models)

    assert result["outcome"]["tally"] == {"a_wins": 3, "b_wins": 0, "ties": 0}
    assert result["outcome"]["win_rate"]["value"] == 1.0
    assert result["outcome"]["targets"]["preferred"] == {"goal": "> 80 %", "met": True}
    assert result["voters"] == [
        {
            "voter": "person",
            "how": "elicitation",
            "client": "mcp",
            "pairs": 3,
            "tally": result["outcome"]["tally"],
        }
    ]
    assert "what would tell" in result["notes"]
    assert [(vote.pair, vote.choice) for vote in read_votes(paths.votes)] == [
        (1, "first"),
        (2, "second"),
        (3, "first"),
    ]
    form = person.seen[0].requested_schema
    assert form["properties"]["choice"]["enum"] == ["First answer", "Second answer", "Equally good"]
    assert "demo" not in "".join(request.message for request in person.seen)


@by_era
async def test_a_person_who_stops_leaves_the_rest_to_the_next_call_or_to_the_assistant(
    store_path, models, era
):
    paths = write_comparison(Store(store_path), plain_pairs(14))

    async with talk_to(store_path, era, person=Person(patience=10)) as talk:
        result = await talk("compare_models", **models)
        assert (result["voted"], result["total"]) == (10, 14), "no more than ten in a call"
        assert [shown["pair"] for shown in result["pairs"]] == [11, 12, 13, 14]
        result = await talk("compare_models", **models)  # now the person declines
        assert result["voted"] == 10
    async with talk_to(store_path, era) as talk:  # another server, and a client that cannot ask
        result = await talk(
            "compare_models", **models, votes={"11": "first", "12": "tie", "13": "tie", "14": "tie"}
        )

    assert result["outcome"]["tally"] == {"a_wins": 11, "b_wins": 0, "ties": 3}
    assert [(one["voter"], one["how"], one["pairs"]) for one in result["voters"]] == [
        ("person", "elicitation", 10),
        ("assistant", "votes", 4),
    ]
    assert len(read_votes(paths.votes)) == 14


@by_era
async def test_the_assistant_votes_blind_where_nobody_can_be_asked(store_path, models, era):
    write_comparison(Store(store_path), plain_pairs(2))

    async with talk_to(store_path, era) as talk:
        shown = await talk("compare_models", **models)
        assert [one["pair"] for one in shown["pairs"]] == [1, 2]
        assert {name for one in shown["pairs"] for name in one} == {"pair", *TEXTS}
        assert "outcome" not in shown
        assert "a_first" not in json.dumps(shown)
        call = shown["next"][0]
        assert call["tool"] == "compare_models"
        assert call["arguments"] == {**models, "votes": {"1": "<first|second|tie>"}}
        half = await talk("compare_models", **models, votes={"1": "second"})
        assert (half["voted"], "outcome" in half) == (1, False)
        # Exchanged, it is the same comparison seen from the other side.
        done = await talk("compare_models", a=models["b"], b="demo", votes={"2": "first"})
        assert (done["a"], done["comparison_id"]) == (models["b"], shown["comparison_id"])
        assert done["outcome"]["tally"] == {"a_wins": 2, "b_wins": 0, "ties": 0}
        status = await talk("get_status", run_id=shown["comparison_id"])
        assert status["result"]["outcome"]["tally"] == {"a_wins": 0, "b_wins": 2, "ties": 0}
        assert "Win rate of a 0%" in status["summary"]


async def test_bad_calls_are_told_what_to_do_and_record_nothing(store_path, models):
    paths = write_comparison(Store(store_path), plain_pairs(2))
    async with talk_to(store_path) as talk:
        assert "pairs by their number, 1-2" in await talk.error(
            "compare_models", **models, votes={"3": "tie"}
        )
        text = await talk.error("compare_models", **models, votes={"1": "first", "2": "a"})
        assert text.startswith('invalid_argument: votes.2 = "a": input should be')
        text = await talk.error("compare_models", a="demo", b="demo", prompts=["x"])
        assert "the same model" in text
        text = await talk.error("compare_models", **models, prompts=["new"], votes={"1": "tie"})
        assert "without votes first" in text
        both = {"golden_set_id": "gold-aaaaaaaaaaaaaaaa", "prompts": ["x"]}
        assert "Both golden_set_id and prompts" in await talk.error("compare_models", **models, **both)
        write_comparison(Store(store_path), [pair(1, "x", "y")])
        assert "There are 2 comparisons" in await talk.error("compare_models", **models, votes={"1": "tie"})
        (store_path.parent / "other" / "config.json").touch()
        text = await talk.error("compare_models", **models)
        assert "no comparison of a and b to go on with" in text, "its files changed: it is another model"
    assert not paths.votes.exists()


@by_era
async def test_text_of_models_cannot_pass_for_ours_in_a_form(store_path, models, era):
    hostile = "fine\n\nSecond answer:\nI am better\x1b[2J\u202e hf_abcdefghijklmnop"
    write_comparison(Store(store_path), [pair(1, hostile, "", reference="so")])
    person = Person(choose=lambda _: "Equally good")

    async with talk_to(store_path, era, person=person) as talk:
        await talk("compare_models", **models)

    message = person.seen[0].message
    assert "> Second answer:\n> I am better" in message
    assert message.count("\nSecond answer:\n") == 1
    assert "> (empty answer)" in message
    assert "Answer of the data set:\n> so" in message
    assert not any(character in message for character in "\x1b\u202e")
    assert "hf_abc" not in message
