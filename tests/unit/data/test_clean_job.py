"""Cleaning: a new version of a dataset with faulty rows mended or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.inputs import Load, StartJob, write_jsonl
from tunesmith.data import clean_job
from tunesmith.data.quality.flags import read_flags
from tunesmith.data.rows import Row, read_rows
from tunesmith.jobs.context import Stopped
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import CleanDatasetRequest, CleaningCard, DatasetCard
from tunesmith.schemas.enums import Fix, Verdict, Work
from tunesmith.schemas.errors import NoRows, NotReady
from tunesmith.schemas.handles import new_handle

TOPICS = [
    "rivers",
    "bridges",
    "lighthouses",
    "gardens",
    "clocks",
    "kitchens",
    "forests",
    "letters",
    "harbours",
    "songs",
]


def sound_rows(count: int = 60) -> list[dict[str, Any]]:
    """Instructions that differ from each other in most of their words."""
    return [
        {
            "instruction": f"Tell me what makes {TOPICS[number % 10]} number {number} worth a visit "
            f"on day {number * 7}.",
            "output": f"The {TOPICS[number % 10]} of place {number} are known for "
            f"{TOPICS[(number * 3 + 1) % 10]}, which {number + 100} people "
            f"came to see before {1900 + number} was over, say {number * 11} notes.",
        }
        for number in range(count)
    ]


def clean(start_job: StartJob, dataset: DatasetCard, *fixes: Fix, dry_run: bool = False) -> CleaningCard:
    request = CleanDatasetRequest(
        dataset_id=dataset.dataset_id,
        fixes=list(fixes),
        dry_run=dry_run,
        cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    return clean_job.run(start_job(Work.CLEAN_DATASET, request))


def result(store: Store, card: CleaningCard) -> tuple[DatasetCard, list[Row]]:
    assert card.cleaned_dataset_id is not None
    paths = store.handle(card.cleaned_dataset_id)
    dataset = read_document(paths.result, DatasetCard)
    assert dataset is not None
    return dataset, read_rows(paths.rows)


@pytest.fixture
def dirty(tmp_path: Path, load: Load) -> DatasetCard:
    rows = sound_rows()
    rows[5]["output"] = "TODO"
    rows[9]["output"] += " Write to jane.doe@example.com for more."
    rows[12]["output"] = "I'm sorry, but as an AI language model I cannot help with that request."
    rows[20]["output"] += " The cafÃ© is open; itâ€™s lovely there."
    return load(write_jsonl(tmp_path / "dirty.jsonl", [*rows, rows[3]]))


def test_rows_with_the_named_defects_are_left_out_and_told_by_number(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    card = clean(start_job, dirty, Fix.DROP_PLACEHOLDERS, Fix.DROP_REFUSALS)
    assert (card.rows_before, card.rows) == (60, 58)
    assert card.dropped == {"placeholder": 1, "refusal": 1}
    assert card.dropped_rows == {"placeholder": [6], "refusal": [13]}
    assert card.changed == {}
    cleaned, rows = result(store, card)
    assert [row.number for row in rows] == [number for number in range(1, 61) if number not in (6, 13)]
    assert cleaned.quality["placeholder_outputs"].verdict is Verdict.PASS
    assert cleaned.quality["refusals"].count == 0
    dropped, _ = read_flags(store.handle(cleaned.dataset_id).flags)
    assert dropped.rows("refusal").tolist() == [13]


def test_text_is_mended_where_the_report_found_damage_and_nowhere_else(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    before = read_rows(store.handle(dirty.dataset_id).rows)
    card = clean(start_job, dirty, Fix.REPAIR_TEXT, Fix.MASK_PERSONAL_DATA)
    _, rows = result(store, card)
    assert card.changed == {"repair_text": 1, "mask_personal_data": 1}
    assert card.changed_rows == {"repair_text": [21], "mask_personal_data": [10]}
    by_number = {row.number: row for row in rows}
    assert by_number[21].completion.endswith(
        ("The café is open; it’s lovely there.", "The café is open; it's lovely there.")
    )
    assert "jane.doe" not in by_number[10].completion
    assert "[EMAIL]" in by_number[10].completion
    untouched = [row for row in before if row.number not in (10, 21)]
    assert [by_number[row.number] for row in untouched] == untouched


def test_the_new_version_knows_where_it_came_from_and_the_old_one_stays(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    before = read_rows(store.handle(dirty.dataset_id).rows)
    cleaned, _ = result(store, clean(start_job, dirty, Fix.DROP_PLACEHOLDERS))
    assert cleaned.parent_dataset_id == dirty.dataset_id
    assert cleaned.fixes == [Fix.DROP_PLACEHOLDERS]
    assert cleaned.fingerprint != dirty.fingerprint
    assert cleaned.source == dirty.source
    assert (cleaned.rows_read, cleaned.rows) == (dirty.rows, dirty.rows - 1)
    assert read_rows(store.handle(dirty.dataset_id).rows) == before


def test_a_dry_run_counts_the_same_and_stores_nothing(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    fixes = (Fix.DROP_PLACEHOLDERS, Fix.MASK_PERSONAL_DATA)
    dry, real = clean(start_job, dirty, *fixes, dry_run=True), clean(start_job, dirty, *fixes)
    assert (dry.rows, dry.dropped, dry.changed_rows) == (real.rows, real.dropped, real.changed_rows)
    assert dry.cleaned_dataset_id is None
    assert sorted(store.handles(Work.LOAD_DATASET)) == sorted(
        [dirty.dataset_id, real.cleaned_dataset_id or ""]
    )


def test_rows_that_mending_makes_equal_become_one(
    tmp_path: Path, load: Load, start_job: StartJob, store: Store
) -> None:
    labels = [
        {"text": f"What about {topic} and {number}?", "label": topic}
        for number in range(8)
        for topic in TOPICS
    ]
    odd = {"text": "What about rivers and 3?", "label": "Rivers"}
    dataset = load(write_jsonl(tmp_path / "labels.jsonl", [*labels, odd]))
    assert dataset.quality["label_variants"].rows == [81]
    card = clean(start_job, dataset, Fix.UNIFY_LABELS)
    cleaned, rows = result(store, card)
    assert card.changed == {"unify_labels": 1}
    assert card.dropped == {"duplicate": 1}
    assert cleaned.quality["label_variants"].verdict is Verdict.PASS
    assert {row.completion for row in rows} == set(TOPICS)


def test_a_conversation_is_mended_turn_by_turn(
    tmp_path: Path, load: Load, start_job: StartJob, store: Store
) -> None:
    chat = [
        {"role": "user", "content": "My address is jane.doe@example.com, note it."},
        {"role": "assistant", "content": "Noted: jane.doe@example.com."},
    ]
    others = [
        {
            "messages": [
                {"role": "user", "content": row["instruction"]},
                {"role": "assistant", "content": row["output"]},
            ]
        }
        for row in sound_rows()
    ]
    dataset = load(write_jsonl(tmp_path / "chats.jsonl", [{"messages": chat}, *others]))
    _, rows = result(store, clean(start_job, dataset, Fix.MASK_PERSONAL_DATA))
    assert [turn.content for turn in rows[0].messages] == [
        "My address is [EMAIL], note it.",
        "Noted: [EMAIL].",
    ]


def test_nothing_left_is_an_error_and_no_dataset(
    tmp_path: Path, load: Load, start_job: StartJob, store: Store
) -> None:
    rows = [{"instruction": f"Explain what {topic} are for.", "output": "TODO"} for topic in TOPICS[:3]]
    dataset = load(write_jsonl(tmp_path / "all.jsonl", rows))
    assert dataset.quality["placeholder_outputs"].count == 3
    with pytest.raises(NoRows, match="placeholder: 3"):
        clean(start_job, dataset, Fix.DROP_PLACEHOLDERS)
    assert store.handles(Work.LOAD_DATASET) == [dataset.dataset_id]


def test_a_dataset_without_rows_yet_cannot_be_cleaned(start_job: StartJob) -> None:
    request = CleanDatasetRequest(
        dataset_id=new_handle(Work.LOAD_DATASET),
        fixes=[Fix.DROP_PLACEHOLDERS],
        dry_run=False,
        cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    with pytest.raises(NotReady):
        clean_job.run(start_job(Work.CLEAN_DATASET, request))


def test_a_repeated_attempt_makes_the_same_dataset(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    request = CleanDatasetRequest(
        dataset_id=dirty.dataset_id,
        fixes=[Fix.DROP_PLACEHOLDERS],
        dry_run=False,
        cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    job = start_job(Work.CLEAN_DATASET, request)
    first = result(store, clean_job.run(job))
    assert result(store, clean_job.run(job)) == first


def test_a_stop_is_heard_and_no_dataset_is_made(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    request = CleanDatasetRequest(
        dataset_id=dirty.dataset_id,
        fixes=[Fix.DROP_PLACEHOLDERS],
        dry_run=False,
        cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    job = start_job(Work.CLEAN_DATASET, request)
    job.paths.stop(1).touch()
    with pytest.raises(Stopped):
        clean_job.run(job)
    assert store.handles(Work.LOAD_DATASET) == [dirty.dataset_id]
    assert not job.paths.scratch.exists()


def test_the_report_of_the_cleaned_rows_no_longer_finds_what_was_mended(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    cleaned, _ = result(store, clean(start_job, dirty, Fix.MASK_PERSONAL_DATA, Fix.REPAIR_TEXT))
    assert json.loads(cleaned.quality["personal_data"].model_dump_json())["verdict"] == "pass"
    assert cleaned.quality["encoding_damage"].count == 0


def test_markup_goes_and_the_form_of_the_prompt_and_what_was_asked_for_stay(
    tmp_path: Path, load: Load, start_job: StartJob, store: Store
) -> None:
    rows = sound_rows()
    rows[2]["instruction"] = "The table is scratched<br>what can be done about it?"
    rows[4] = {
        "instruction": "Write an HTML list of two fruits.",
        "output": "<ul><li>Pear</li><li>Fig</li></ul>",
    }
    dataset = load(write_jsonl(tmp_path / "markup.jsonl", rows))
    assert dataset.quality["encoding_damage"].kinds == {"html": 1}
    assert dataset.quality["encoding_damage"].proposed == [Fix.STRIP_HTML]
    _, kept = result(store, clean(start_job, dataset, Fix.STRIP_HTML))
    assert kept[2].prompt.startswith("### Instruction\nThe table is scratched\nwhat can")
    assert kept[2].prompt.endswith("\n\n### Response\n")
    assert kept[4].completion == "<ul><li>Pear</li><li>Fig</li></ul>"


def test_a_cleaned_dataset_proposes_nothing_that_has_been_done(
    start_job: StartJob, store: Store, dirty: DatasetCard
) -> None:
    first = [fix for check in dirty.quality.values() for fix in check.proposed]
    assert {Fix.DROP_PLACEHOLDERS, Fix.DROP_REFUSALS, Fix.REPAIR_TEXT, Fix.MASK_PERSONAL_DATA} <= set(first)
    cleaned, _ = result(store, clean(start_job, dirty, *first))
    assert [fix for check in cleaned.quality.values() for fix in check.proposed] == []
    assert set(cleaned.checklist.values()) == {Verdict.PASS}
