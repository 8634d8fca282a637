"""The votes on a comparison: which pairs are left, what may be voted, and what it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.diagnosis.proportion import wilson
from tunesmith.jobs import clock
from tunesmith.jobs.paths import HandlePaths
from tunesmith.jobs.votes import read_votes, record_votes
from tunesmith.schemas.comparisons import (
    AnswerPair,
    AnswerPairs,
    Channel,
    Choice,
    Tally,
    Vote,
    Voter,
    Votes,
)
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import Score


@dataclass(frozen=True)
class Ballot:
    """A comparison's answers and the votes on them, oldest first.

    Of several votes of one voter on one pair the last counts, and a person's before the assistant's. Answers that are
    the same are a tie that nobody is asked about.
    """

    answers: AnswerPairs
    votes: Sequence[Vote]

    @property
    def asked(self) -> list[AnswerPair]:
        """The pairs with something to choose."""
        return [pair for pair in self.answers.pairs if not pair.is_same]

    @property
    def same(self) -> int:
        """How many pairs have answers that are the same."""
        return len(self.answers.pairs) - len(self.asked)

    def counted(self) -> dict[int, Vote]:
        """The vote that counts, by pair."""
        return {**self.of("assistant"), **self.of("person")}

    def of(self, voter: Voter) -> dict[int, Vote]:
        """One voter's votes by pair."""
        return {vote.pair: vote for vote in self.votes if vote.voter == voter}

    def pending(self, voter: Voter | None = None) -> list[AnswerPair]:
        """The pairs without a vote: of this voter, or of anybody."""
        counted = self.counted() if voter is None else self.of(voter)
        return [pair for pair in self.asked if pair.pair not in counted]

    def tally(self) -> Tally:
        """Who won how many of all pairs, those with the same answer twice included."""
        found = self._tally(self.counted().values())
        return found.model_copy(update={"ties": found.ties + self.same})

    def win_rate(self) -> Score:
        """The share of the pairs that a won, a tie being half a win for each."""
        tally = self.tally()
        return wilson(tally.a_wins + tally.ties / 2, len(self.answers.pairs))

    def voters(self, *, tell: bool) -> list[Votes]:
        """Who has voted on how many pairs, over which way; for whom only with `tell`."""
        groups: dict[tuple[Voter, Channel, str | None], list[Vote]] = {}
        for vote in [*self.of("person").values(), *self.of("assistant").values()]:
            groups.setdefault((vote.voter, vote.how, vote.client), []).append(vote)
        return [
            Votes(
                voter=voter,
                how=how,
                client=client,
                pairs=len(votes),
                tally=self._tally(votes) if tell else None,
            )
            for (voter, how, client), votes in groups.items()
        ]

    def _tally(self, votes: Iterable[Vote]) -> Tally:
        a_first = {pair.pair: pair.a_first for pair in self.asked}
        wins = Counter(
            "tie" if vote.choice == "tie" else "a" if (vote.choice == "first") is a_first[vote.pair] else "b"
            for vote in votes
            if vote.pair in a_first
        )
        return Tally(a_wins=wins["a"], b_wins=wins["b"], ties=wins["tie"])


def open_ballot(paths: HandlePaths, answers: AnswerPairs) -> Ballot:
    """The votes as they stand now."""
    return Ballot(answers, read_votes(paths.votes))


def cast(
    paths: HandlePaths,
    ballot: Ballot,
    choices: Mapping[str, Choice],
    voter: Voter,
    how: Channel,
    client: str | None = None,
) -> Ballot:
    """Put votes by pair number on record, all or none; returns the ballot with them.

    Raises:
        InvalidArgument: a pair does not exist, or needs no vote, or had its result told.
        DiskFull, StorageFailed: they are not on record.
    """
    known = {str(pair.pair): pair for pair in ballot.asked}
    _require_known(ballot, choices, known)
    before = ballot.of(voter)
    new = {number: choice for number, choice in choices.items() if not _stands(before, int(number), choice)}
    _require_open(ballot, before, new)
    now = clock.timestamp()
    votes = [
        Vote(pair=int(number), choice=choice, voter=voter, how=how, client=client, at=now)
        for number, choice in new.items()
    ]
    if votes:
        record_votes(paths.votes, votes)
    return open_ballot(paths, ballot.answers)


def _stands(before: Mapping[int, Vote], pair: int, choice: Choice) -> bool:
    return pair in before and before[pair].choice == choice


def _require_known(ballot: Ballot, choices: Mapping[str, Choice], known: Mapping[str, AnswerPair]) -> None:
    unknown = [number for number in choices if number not in known]
    if not unknown:
        return
    same = [str(pair.pair) for pair in ballot.answers.pairs if pair.is_same]
    needless = [number for number in unknown if number in same]
    if needless:
        raise InvalidArgument(
            f"The two answers of pair {needless[0]} are the same, which is a tie without a vote. Nothing was recorded.",
            f"Leave out {', '.join(needless)} and call compare_models again.",
        )
    shown = ", ".join(f'"{number[:20]}"' for number in unknown[:5])
    raise InvalidArgument(
        f"There is no pair {shown} in {ballot.answers.comparison_id}. Nothing was recorded.",
        f"Name pairs by their number, {_ranges([pair.pair for pair in ballot.asked])}, and call compare_models again.",
    )


def _require_open(ballot: Ballot, before: Mapping[int, Vote], new: Mapping[str, Choice]) -> None:
    """A vote that is changed by somebody who knows the result is not blind."""
    changed = [number for number in new if int(number) in before]
    if changed and not ballot.pending():
        raise InvalidArgument(
            f"The result was told, so that the vote on pair {changed[0]} cannot change any more. Nothing was recorded.",
            "Call compare_models with the same a and b and without votes to see the result.",
        )


def _ranges(numbers: Sequence[int]) -> str:
    """`1-3, 5`, for numbers in order."""
    stretches: list[list[int]] = []
    for number in numbers:
        if stretches and number == stretches[-1][-1] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    return (
        ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in stretches)
        or "of which none is"
    )
