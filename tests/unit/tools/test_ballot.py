"""Votes on pairs of answers: what is left, what may be voted, what it comes to."""

from __future__ import annotations

import pytest

from tests.support.written_comparisons import pair, plain_pairs, write_comparison
from tunesmith.diagnosis.proportion import Z_95
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.votes import read_votes
from tunesmith.schemas.comparisons import AnswerPairs, Tally
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.tools.ballot import cast, open_ballot
from tunesmith.tools.compare_models import EMPTY, result_for, shown_pair


@pytest.fixture
def opened(tmp_path):
    """Opens the ballot of some pairs; gives its files too."""

    def open_pairs(pairs):
        paths = write_comparison(Store(tmp_path / "store"), pairs, other=tmp_path)
        return paths, open_ballot(paths, read_document(paths.result, AnswerPairs))

    return open_pairs


def told(ballot, voter="assistant"):
    return result_for(ballot, voter)


def test_known_votes_give_the_right_tally_win_rate_and_target(opened):
    paths, ballot = opened(plain_pairs(4))

    # a is first in pairs 1 and 3: it wins 1, 2 and 3.
    ballot = cast(
        paths, ballot, {"1": "first", "2": "second", "3": "first", "4": "tie"}, "assistant", "votes"
    )

    outcome = told(ballot).outcome
    assert outcome.tally == Tally(a_wins=3, b_wins=0, ties=1)
    assert outcome.win_rate.value == 3.5 / 4
    for edge in (outcome.win_rate.low, outcome.win_rate.high):  # where the score test just holds
        assert (edge - 3.5 / 4) ** 2 == pytest.approx(Z_95**2 * edge * (1 - edge) / 4)
    assert outcome.targets["preferred"].met
    assert any("reaches below the target" in note for note in told(ballot).notes)
    assert any("holds 50 %" in note for note in told(ballot).notes)


def test_seen_from_the_other_side_the_wins_are_exchanged_and_the_order_stays(opened):
    paths, ballot = opened(plain_pairs(2))
    ballot = cast(paths, ballot, {"1": "first", "2": "second"}, "assistant", "votes")

    turned = open_ballot(paths, ballot.answers.seen_from_b())

    assert told(turned).outcome.tally == Tally(a_wins=0, b_wins=2, ties=0)
    assert [shown_pair(one, 99) for one in turned.asked] == [shown_pair(one, 99) for one in ballot.asked]


def test_until_the_last_vote_nothing_tells_who_wins(opened):
    paths, ballot = opened(plain_pairs(3))

    ballot = cast(paths, ballot, {"1": "first", "2": "first"}, "assistant", "votes")

    result = told(ballot)
    assert (result.voted, result.total, result.outcome) == (2, 3, None)
    assert [one.tally for one in result.voters] == [None]
    assert "what would tell" not in result.notes
    assert [shown.pair for shown in result.pairs] == [3]


def test_answers_that_are_the_same_are_ties_that_nobody_is_asked_about(opened):
    _, ballot = opened([pair(1, " same\n", "same"), pair(2, "", "")])

    result = told(ballot)

    assert (result.pairs, result.total) == ([], 0)
    assert result.outcome.tally == Tally(a_wins=0, b_wins=0, ties=2)
    assert "2 of 2 pairs have the same answer twice: they are ties." in result.notes


def test_an_empty_answer_is_shown_as_one(opened):
    _, ballot = opened([pair(1, " \n", "something")])

    (shown,) = told(ballot).pairs

    assert (shown.untrusted_first, shown.untrusted_second) == (EMPTY, "something")


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ({"1": "first", "9": "tie"}, 'There is no pair "9"'),
        ({"one": "first"}, 'There is no pair "one"'),
        ({"01": "first"}, 'There is no pair "01"'),
        ({"2": "tie"}, "The two answers of pair 2 are the same"),
    ],
)
def test_votes_for_pairs_that_take_none_are_refused_and_nothing_is_recorded(opened, votes, message):
    paths, ballot = opened([pair(1, "x", "y"), pair(2, "z", "z"), *(pair(n, "x", "y") for n in (3, 4))])

    with pytest.raises(InvalidArgument, match=message) as refused:
        cast(paths, ballot, votes, "assistant", "votes")

    assert "Nothing was recorded" in str(refused.value)
    if "no pair" in message:
        assert "1, 3-4" in str(refused.value)
    assert not paths.votes.exists()


def test_a_vote_can_be_changed_until_the_result_is_told(opened):
    paths, ballot = opened(plain_pairs(2))
    ballot = cast(paths, ballot, {"1": "first"}, "assistant", "votes")
    ballot = cast(paths, ballot, {"1": "second", "2": "tie"}, "assistant", "votes")
    assert ballot.tally() == Tally(a_wins=0, b_wins=1, ties=1)

    assert cast(paths, ballot, {"1": "second"}, "assistant", "votes").votes == ballot.votes  # said again
    with pytest.raises(InvalidArgument, match="cannot change any more"):
        cast(paths, ballot, {"1": "first"}, "assistant", "votes")


def test_a_person_may_vote_after_the_assistant_and_counts_before_it(opened):
    paths, ballot = opened(plain_pairs(2))
    ballot = cast(paths, ballot, {"1": "first", "2": "second"}, "assistant", "votes", "a client")
    assert told(ballot).outcome.tally.a_wins == 2
    assert told(ballot, "person").outcome is None

    ballot = cast(paths, ballot, {"1": "second", "2": "tie"}, "person", "page")

    result = told(ballot, "person")
    assert result.outcome.tally == Tally(a_wins=0, b_wins=1, ties=1)
    by = {(one.voter, one.how, one.client): one.tally for one in result.voters}
    assert by == {
        ("person", "page", None): Tally(a_wins=0, b_wins=1, ties=1),
        ("assistant", "votes", "a client"): Tally(a_wins=2, b_wins=0, ties=0),
    }


def test_a_torn_vote_costs_only_itself(opened):
    paths, ballot = opened(plain_pairs(2))
    cast(paths, ballot, {"1": "first"}, "assistant", "votes")
    with paths.votes.open("a") as file:
        file.write('{"pair": 2, "cho')
    cast(paths, ballot, {"2": "tie"}, "assistant", "votes")

    assert [vote.pair for vote in read_votes(paths.votes)] == [1, 2]
