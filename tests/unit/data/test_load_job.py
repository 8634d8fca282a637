from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.data.inputs import Load, StartJob, request_for, write_jsonl
from tunesmith.data import load_job
from tunesmith.data.quality.flags import read_flags
from tunesmith.data.reading import parts
from tunesmith.data.rows import Message, fingerprint, read_rows
from tunesmith.jobs.context import Stopped
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import Verdict, Work
from tunesmith.schemas.errors import NoRows, SourceNotFound, TunesmithError, UnmappedColumns

MATERIAL = Path(__file__).parents[4] / "shared" / "material" / "data"


def assert_adds_up(card: DatasetCard) -> None:
    assert card.rows + sum(card.dropped.values()) == card.rows_read
    told = {kind: count for check in card.quality.values() for kind, count in check.kinds.items()}
    assert card.dropped.items() <= {**card.dropped, **told}.items()
    assert set(card.dropped) <= set(told)


def test_a_file_becomes_stored_rows_and_a_card(tmp_path: Path, load: Load, store: Store) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"instruction": "Add.", "output": 3, "topic": "sums"}])
    card = load(path)
    (row,) = read_rows(store.handle(card.dataset_id).rows)
    assert (row.number, row.prompt, row.completion) == (1, "### Instruction\nAdd.\n\n### Response\n", "3")
    assert row.extras == {"topic": "sums"}
    assert (card.format, card.row_kind) == ("instruction", "prompt_completion")
    assert card.columns == {"instruction": "instruction", "response": "output"}
    assert (card.rows, card.rows_read, card.dropped) == (1, 1, {})
    assert {check.verdict for check in card.quality.values()} == {Verdict.PASS}
    assert card.fingerprint == fingerprint([row])


def test_every_dropped_row_is_counted_once_by_its_reason(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "a.jsonl"
    sound = [json.dumps({"prompt": f"p{number}", "completion": "c"}) for number in range(20)]
    path.write_text(
        "\n".join(
            [
                *sound,
                '{"prompt": "broken',
                "[1, 2]",
                '{"prompt": "p"}',
                '{"prompt": "p", "completion": NaN}',
                '{"prompt": "p", "completion": " "}',
                '{"prompt": "p", "completion": ["c"]}',
                '{"prompt": "p", "completion": "\\ud800"}',
                '{"prompt": "p", "completion": "\\u0000"}',
                sound[0],
                sound[0],
            ]
        )
    )
    card = load(path)
    assert card.rows == 21
    assert card.dropped == {
        "invalid_json": 1,
        "not_an_object": 1,
        "missing_field": 2,
        "empty": 1,
        "not_text": 1,
        "invalid_text": 1,
        "duplicate": 2,
    }
    assert_adds_up(card)
    assert card.quality["readable"].rows == [21, 22]
    assert card.quality["exact_duplicates"].rows == [29, 30]
    assert card.quality["exact_duplicates"].verdict is Verdict.WARN
    assert card.quality["encoding_damage"].kinds == {
        "invalid_text": 1,
        "lone_surrogate": 1,
        "replacement_character": 1,
    }


def test_every_row_that_the_report_counts_is_stored_with_its_number(
    tmp_path: Path, load: Load, store: Store
) -> None:
    rows = [
        {
            "prompt": f"Say number {number} in words.",
            "completion": f"Written out, it is number {number} of all.",
        }
        for number in range(40)
    ]
    rows[7]["completion"] = "TODO"
    path = write_jsonl(tmp_path / "a.jsonl", [*rows, rows[3], {"prompt": "alone"}])
    card = load(path)
    dropped, found = read_flags(store.handle(card.dataset_id).flags)
    assert (dropped.rows("duplicate").tolist(), dropped.of("duplicate").tolist()) == ([41], [4])
    assert dropped.rows("missing_field").tolist() == [42]
    assert found.rows("placeholder").tolist() == [8]


def test_ragged_csv_rows_are_counted_and_cells_kept_as_written(
    tmp_path: Path, load: Load, store: Store
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion,id\n007,NA,01\n1,2\n1.50,1e5,02\na,b,c,d\n")
    card = load(path)
    rows = read_rows(store.handle(card.dataset_id).rows)
    assert [(row.prompt, row.completion, row.extras["id"]) for row in rows] == [
        ("007", "NA", "01"),
        ("1.50", "1e5", "02"),
    ]
    assert card.dropped == {"wrong_column_count": 2}
    assert card.quality["readable"].verdict is Verdict.FAIL
    assert_adds_up(card)


def test_a_chat_with_a_strange_role_is_dropped_and_the_others_stored(
    tmp_path: Path, load: Load, store: Store
) -> None:
    sound = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [{"conversations": sound}, {"conversations": [{"from": "narrator", "value": "x"}, *sound]}],
    )
    card = load(path)
    (row,) = read_rows(store.handle(card.dataset_id).rows)
    assert row.messages == (Message("user", "hi"), Message("assistant", "hello"))
    assert (card.row_kind, card.dropped) == ("messages", {"unsupported_role": 1})
    assert_adds_up(card)


def test_reading_the_same_file_again_gives_the_same_fingerprint(tmp_path: Path, load: Load) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two"}])
    first, second = load(path), load(path)
    assert first.dataset_id != second.dataset_id
    assert first.fingerprint == second.fingerprint


def test_a_large_file_is_read_in_parts_and_numbered_as_if_it_were_one(
    tmp_path: Path, load: Load, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        json.dumps({"prompt": f"Question {number}?", "completion": f"Answer {number}."})
        for number in range(3000)
    ]
    lines[1500] = "{broken"
    lines[2000] = ""
    lines[2500] = lines[10]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    whole = load(path)
    monkeypatch.setattr(parts, "SPLIT_BYTES", 10_000)
    monkeypatch.setattr(parts, "PART_BYTES", 9_000)
    monkeypatch.setattr(load_job, "PARALLEL_BYTES", 1_000)
    card = load(path)
    assert len(list(store.handle(card.dataset_id).rows.iterdir())) > 5
    assert card.fingerprint == whole.fingerprint
    assert (card.rows, card.rows_read, card.dropped) == (2997, 2999, {"invalid_json": 1, "duplicate": 1})
    assert card.quality["readable"].rows == [1501]
    assert card.quality["exact_duplicates"].rows == [2501]
    numbers = [row.number for row in read_rows(store.handle(card.dataset_id).rows)]
    assert numbers == [number for number in range(1, 3001) if number not in (1501, 2001, 2501)]


def test_parts_whose_lines_or_copies_were_not_foreseen_are_stored_as_if_they_were_one(
    tmp_path: Path, load: Load, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        json.dumps({"prompt": f"Question {number}?", "completion": f"Answer {number}."})
        for number in range(3000)
    ]
    lines[20] = lines[21] = lines[5]  # copies within a part
    lines[1500] = lines[20]
    lines[700] = f"{lines[700]}\r{lines[701]}x\r{lines[702]}"  # three lines, where counting finds one
    path = tmp_path / "a.jsonl"
    path.write_bytes("\n".join(lines).encode())
    whole = load(path)
    monkeypatch.setattr(parts, "SPLIT_BYTES", 10_000)
    monkeypatch.setattr(parts, "PART_BYTES", 9_000)
    monkeypatch.setattr(load_job, "PARALLEL_BYTES", 1_000)
    card = load(path)
    flags, expected = (read_flags(store.handle(each.dataset_id).flags)[0] for each in (card, whole))
    assert card.dropped == whole.dropped == {"invalid_json": 1, "duplicate": 4}
    assert card.fingerprint == whole.fingerprint
    assert flags.rows("duplicate").tolist() == expected.rows("duplicate").tolist() == [21, 22, 705, 1503]
    assert flags.of("duplicate").tolist() == expected.of("duplicate").tolist() == [6, 6, 703, 6]
    stored, wanted = (read_rows(store.handle(each.dataset_id).rows) for each in (card, whole))
    assert stored == wanted
    assert [row.number for row in stored][-1] == 3002


def test_the_rows_of_a_second_file_are_numbered_after_those_of_the_first(
    tmp_path: Path, load: Load, store: Store
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [{"text": "one"}, {"text": "two"}])
    write_jsonl(folder / "b.jsonl", [{"text": "three"}, {"text": "one"}, {"text": "four"}])
    card = load(folder)
    rows = read_rows(store.handle(card.dataset_id).rows)
    assert [(row.number, row.completion) for row in rows] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
        (5, "four"),
    ]
    assert card.quality["exact_duplicates"].rows == [4]


def test_conversations_that_turn_up_late_make_the_whole_dataset_chat(
    tmp_path: Path, load: Load, store: Store
) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]}
    plain = [{"prompt": f"Question {number}?", "completion": f"Answer {number}."} for number in range(1500)]
    path = write_jsonl(tmp_path / "a.jsonl", [*plain, chat, {"text": "Once upon a time."}])
    card = load(path)
    rows = read_rows(store.handle(card.dataset_id).rows)
    assert (card.row_kind, card.format, card.rows) == ("mixed", "chat", 1502)
    assert rows[0].messages == (Message("user", "Question 0?"), Message("assistant", "Answer 0."))
    assert rows[1500].messages == (Message("user", "Hi!"), Message("assistant", "Hello."))
    assert rows[1501].completion == "Once upon a time."
    assert sum(card.shapes.values()) == 1502


def test_max_rows_counts_what_was_read(tmp_path: Path, load: Load) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "same"}] * 5 + [{"text": "other"}])
    card = load(path, max_rows=5)
    assert (card.rows, card.rows_read, card.dropped) == (1, 5, {"duplicate": 4})


def test_sound_rows_after_many_broken_lines_are_found(tmp_path: Path, load: Load) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": \n' * 300 + '{"text": "sound"}\n')
    assert (load(path).rows, load(path).dropped) == (1, {"invalid_json": 300})


def test_nothing_left_is_told_with_the_reasons_and_without_any_text(tmp_path: Path, load: Load) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl",
        [{"prompt": "secret", "completion": ""}, {"prompt": "secret", "completion": None}],
    )
    with pytest.raises(NoRows, match=r"None of the 2 rows of a\.jsonl") as raised:
        load(path)
    assert "empty: 1" in raised.value.message
    assert "missing_field: 1" in raised.value.message
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.jsonl", '{"text": \n{"text": \n', NoRows),
        ("a.csv", "prompt,completion\n", NoRows),
        ("a.json", "[]", NoRows),
        ("a.jsonl", '{"chosen": "a", "rejected": "b"}\n', UnmappedColumns),
    ],
)
def test_a_failed_load_leaves_no_rows_behind(
    tmp_path: Path, start_job: StartJob, name: str, content: str, error: type[TunesmithError]
) -> None:
    (tmp_path / name).write_text(content)
    job = start_job(Work.LOAD_DATASET, request_for(tmp_path / name))
    with pytest.raises(error):
        load_job.run(job)
    assert sorted(path.name for path in job.paths.folder.iterdir() if path.name != "journal.jsonl") == [
        "request.json"
    ]


def test_a_source_that_is_gone_is_told(tmp_path: Path, load: Load) -> None:
    with pytest.raises(SourceNotFound):
        load(tmp_path / "gone.jsonl")


def test_progress_reaches_the_journal_and_ends_at_the_total(tmp_path: Path, start_job: StartJob) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": f"row {number}"} for number in range(50)])
    job = start_job(Work.LOAD_DATASET, request_for(path))
    load_job.run(job)
    progress = [event for event in read_events(job.paths.journal) if event["event"] == "progress"]
    assert all(event["step"] <= event["total_steps"] for event in progress)
    assert progress[-1]["step"] == progress[-1]["total_steps"]
    assert [event["step"] for event in progress] == sorted(event["step"] for event in progress)
    assert len(progress) < 10


def test_a_stop_is_heard_and_nothing_is_stored(tmp_path: Path, start_job: StartJob) -> None:
    job = start_job(Work.LOAD_DATASET, request_for(write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])))
    job.paths.stop(1).touch()
    with pytest.raises(Stopped):
        load_job.run(job)
    assert not job.paths.rows.exists()


@pytest.mark.skipif(not MATERIAL.is_dir(), reason="the shared material is not here")
@pytest.mark.parametrize(
    ("name", "data_format", "rows"),
    [
        ("instruction/alpaca_2k.json", "instruction", 2_000),
        ("chat/sgd_dev_001-007.messages.jsonl", "chat", 500),
        ("math/gsm8k_test.jsonl", "instruction", 1_300),
        ("messy/good.parquet", None, 1),
        ("messy/chat_sharegpt_clean.jsonl", "chat", 1),
    ],
)
def test_real_files_load(load: Load, name: str, data_format: str | None, rows: int) -> None:
    card = load(MATERIAL / name)
    assert data_format in (None, card.format)
    assert card.rows >= rows * 0.9
    assert_adds_up(card)


@pytest.mark.skipif(not MATERIAL.is_dir(), reason="the shared material is not here")
def test_no_messy_file_ends_in_anything_but_a_card_or_an_anticipated_error(load: Load) -> None:
    for path in sorted((MATERIAL / "messy").iterdir()):
        if path.is_file() and path.name != "README.md":
            try:
                assert_adds_up(load(path))
            except TunesmithError as error:
                assert error.recovery, path.name
