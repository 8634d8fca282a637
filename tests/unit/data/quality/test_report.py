"""Verdicts of the quality report."""

from __future__ import annotations

from tunesmith.data.quality.catalogue import CHECK_OF_KIND, CHECKLIST, CHECKS
from tunesmith.data.quality.diversity import Diversity
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.labels import Balance
from tunesmith.data.quality.report import LISTED_ROWS, Measurements, checklist, judge, summary
from tunesmith.schemas.enums import Fix, Verdict


def flags(**rows: range) -> Flags:
    made = Flags()
    for kind, numbers in rows.items():
        for number in numbers:
            made.add(kind, number)
    return made


def measured(rows: int = 1000, **found: range) -> Measurements:
    return Measurements(rows, Flags(), flags(**found))


def test_sound_rows_pass_every_check_and_line() -> None:
    report = judge(measured())
    assert list(report) == list(CHECKS)
    assert {check.verdict for check in report.values()} == {Verdict.PASS}
    assert checklist(report) == dict.fromkeys(CHECKLIST, Verdict.PASS)


def test_a_check_counts_rows_once_whatever_kinds_they_have() -> None:
    check = judge(measured(email=range(1, 6), phone=range(4, 9)))["personal_data"]
    assert check.count == 8
    assert check.kinds == {"email": 5, "phone": 5}
    assert check.share == 0.008
    assert check.rows == [1, 2, 3, 4, 5, 6, 7, 8]
    assert check.fixes[0] is Fix.MASK_PERSONAL_DATA


def test_the_first_rows_are_listed_in_order() -> None:
    check = judge(measured(refusal=range(900, 0, -1)))["refusals"]
    assert check.count == 900
    assert check.rows == list(range(1, LISTED_ROWS + 1))


def test_dropped_and_kept_rows_count_together() -> None:
    both = Measurements(10, flags(invalid_json=range(1, 3)), flags(duplicate_key=range(4, 5)))
    check = judge(both)["readable"]
    assert (check.count, check.kinds) == (3, {"invalid_json": 2, "duplicate_key": 1})


def test_plain_defects_warn_at_once_and_matters_of_degree_from_one_row_in_a_hundred() -> None:
    assert judge(measured(placeholder=range(1, 2)))["placeholder_outputs"].verdict is Verdict.WARN
    assert judge(measured(too_long=range(1, 10)))["too_long"].verdict is Verdict.PASS
    assert judge(measured(too_long=range(1, 11)))["too_long"].verdict is Verdict.WARN


def test_a_check_fails_from_its_share_on_and_a_secret_at_once() -> None:
    assert judge(measured(looping=range(1, 50)))["looping_outputs"].verdict is Verdict.WARN
    assert judge(measured(looping=range(1, 51)))["looping_outputs"].verdict is Verdict.FAIL
    assert judge(measured(secret=range(1, 2)))["secrets"].verdict is Verdict.FAIL


def test_a_line_of_the_checklist_is_as_bad_as_its_worst_check() -> None:
    lines = checklist(judge(measured(secret=range(1, 2), placeholder=range(1, 2))))
    assert lines["no_harmful_content"] is Verdict.FAIL
    assert lines["high_quality_outputs"] is Verdict.WARN
    assert lines["no_duplicates"] is Verdict.PASS


def test_balance_warns_of_unequal_classes_and_fails_when_one_is_nearly_all() -> None:
    def verdict(*counts: int) -> Verdict:
        balance = Balance(
            {f"c{number}": count for number, count in enumerate(counts)}, max(counts) / min(counts), 0.5
        )
        check = judge(Measurements(sum(counts), Flags(), Flags(), balance))["class_balance"]
        assert check.figures["classes"] == len(counts)
        return check.verdict

    assert verdict(100, 50, 20) is Verdict.PASS
    assert verdict(110, 90, 60, 8) is Verdict.WARN
    assert verdict(990, 10) is Verdict.FAIL


def test_low_diversity_warns_and_sameness_fails() -> None:
    def verdicts(distinct_3: float, vendi: float) -> tuple[Verdict, Verdict]:
        diversity = Diversity(1000, 400, distinct_3, 0.5, vendi)
        report = judge(Measurements(1000, Flags(), Flags(), diversity=diversity))
        return report["lexical_diversity"].verdict, report["topical_diversity"].verdict

    assert verdicts(0.8, 300) == (Verdict.PASS, Verdict.PASS)
    assert verdicts(0.1, 12) == (Verdict.WARN, Verdict.WARN)
    assert verdicts(0.01, 2) == (Verdict.FAIL, Verdict.FAIL)


def test_every_kind_has_one_check_and_every_fix_some() -> None:
    assert sum(len(check.kinds) for check in CHECKS.values()) == len(CHECK_OF_KIND)
    assert {fix for check in CHECKS.values() for fix in check.fixes} == set(Fix)


def test_a_message_names_the_most_frequent_kinds_first() -> None:
    assert summary(flags(empty=range(2), invalid_json=range(5))) == "invalid_json: 5, empty: 2"


def test_what_can_be_mended_is_proposed_for_mending_and_only_where_that_helps() -> None:
    def proposals(check: str, **found: range) -> list[Fix]:
        return judge(measured(**found))[check].proposed

    one = range(1, 2)
    assert proposals("encoding_damage", html=one) == [Fix.STRIP_HTML]
    assert proposals("encoding_damage", mojibake=one, html=one) == [Fix.REPAIR_TEXT, Fix.STRIP_HTML]
    assert proposals("encoding_damage", replacement_character=one) == []
    assert proposals("label_variants", rare_label=one) == []
    assert proposals("placeholder_outputs", placeholder=one) == [Fix.DROP_PLACEHOLDERS]
    assert proposals("language_mix", other_language=range(1, 100)) == []
