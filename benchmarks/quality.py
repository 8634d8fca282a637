"""How well does the quality report find planted defects, and how much of sound data does it flag?

Reads the files with labels in a folder: python -m benchmarks.quality [folder] [--show].
Wanted: recall and precision of 0.98 for mechanical kinds and 0.90 for kinds that are matters of judgement; at most
1 % of the rows of a sound file flagged. Recall: labelled rows that were flagged for what was planted in them.
Precision: flagged rows that carry any label, of all rows flagged with one of those kinds. Labels are read here alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data import golden_job, load_job
from tunesmith.data.quality.flags import read_flags
from tunesmith.data.rows import Row, iter_rows
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import BuildGoldenSetRequest, DatasetCard, LoadDatasetRequest
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

FOLDER = Path(__file__).parents[2] / "shared" / "material" / "data" / "messy"
MECHANICAL, JUDGED = 0.98, 0.90
SOUND_LIMIT = 0.01
LEAKING = ("instruct_defects.jsonl", "instruct_heldout.jsonl")
MIXED_FILES = ("chat_mixed_shapes.jsonl", "mixed_schema.jsonl")
SOUND_FILES = ("clean_control.jsonl", "chat_sharegpt_clean.jsonl", "good.csv", "good.parquet")

# Planted kind -> the kinds of the report that find it, and the target.
EXPECTED: dict[str, tuple[tuple[str, ...], float]] = {
    "empty_output": (("empty",), MECHANICAL),
    "whitespace_output": (("empty",), MECHANICAL),
    "null_output": (("missing_field",), MECHANICAL),
    "missing_output_key": (("missing_field",), MECHANICAL),
    "wrong_type_output": (("not_text", "wrong_type"), MECHANICAL),
    "empty_instruction": (("empty", "missing_field"), MECHANICAL),
    "extra_key": (("extra_field",), JUDGED),
    "exact_duplicate": (("duplicate",), MECHANICAL),
    "conflicting_duplicate": (("conflicting_duplicate",), MECHANICAL),
    "near_duplicate": (("near_duplicate",), JUDGED),
    "placeholder_output": (("placeholder",), MECHANICAL),
    "control_chars": (("control_character", "invisible_character", "invalid_text"), MECHANICAL),
    "replacement_char": (("replacement_character",), MECHANICAL),
    "mojibake": (("mojibake",), MECHANICAL),
    "html_leftover": (("html",), MECHANICAL),
    "secret": (("secret",), MECHANICAL),
    "pii_email": (("email",), MECHANICAL),
    "pii_phone": (("phone",), MECHANICAL),
    "pii_card": (("credit_card",), MECHANICAL),
    "pii_ssn": (("national_id",), MECHANICAL),
    "output_repeats_instruction": (("prompt_echo",), JUDGED),
    "too_short_output": (("too_short",), JUDGED),
    "very_long_output": (("too_long",), JUDGED),
    "truncated_output": (("truncated",), JUDGED),
    "repetition_loop": (("looping",), JUDGED),
    "refusal_output": (("refusal",), JUDGED),
    "other_language": (("other_language",), JUDGED),
    "toxic_mild": (("harmful",), JUDGED),
    "unknown_role": (("unsupported_role",), MECHANICAL),
    "number_as_content": (("wrong_type", "not_text"), MECHANICAL),
    "ends_with_user": (("ends_with_user",), MECHANICAL),
    "starts_with_assistant": (("starts_with_assistant",), MECHANICAL),
    "role_prefix_in_content": (("role_prefix",), MECHANICAL),
    "special_tokens_in_content": (("control_tokens",), MECHANICAL),
    "two_system_messages": (("two_system_messages",), MECHANICAL),
    "system_in_the_middle": (("system_in_the_middle",), MECHANICAL),
    "two_user_turns_in_a_row": (("repeated_role",), MECHANICAL),
    "messages_not_a_list": (("wrong_shape", "not_text"), MECHANICAL),
    "messages_null": (("missing_field",), MECHANICAL),
    "empty_messages": (("wrong_shape", "no_reply", "empty", "missing_field"), MECHANICAL),
    "missing_role_key": (("wrong_shape", "missing_field", "unsupported_role"), MECHANICAL),
    "missing_content_key": (("wrong_shape", "missing_field"), MECHANICAL),
    "null_content": (("missing_field", "wrong_shape", "empty"), MECHANICAL),
    "empty_assistant_content": (("empty",), MECHANICAL),
    "no_assistant_turn": (("no_reply",), MECHANICAL),
    "chosen_equals_rejected": (("chosen_equals_rejected",), MECHANICAL),
    "differ_only_in_whitespace": (("differ_only_in_whitespace",), MECHANICAL),
    "prompt_repeated_in_answers": (("prompt_in_answers",), MECHANICAL),
    "contradicts_earlier_pair": (("contradicting_pair",), MECHANICAL),
    "empty_prompt": (("empty", "missing_field"), MECHANICAL),
    "empty_rejected": (("missing_rejected", "empty"), MECHANICAL),
    "missing_chosen_key": (("missing_field",), MECHANICAL),
    "null_chosen": (("missing_field",), MECHANICAL),
    "conflicting_label": (("conflicting_duplicate",), MECHANICAL),
    "empty_text": (("empty", "missing_field"), MECHANICAL),
    "missing_label": (("empty", "missing_field"), MECHANICAL),
    "label_variant": (("label_variant",), MECHANICAL),
    "unknown_label": (("rare_label",), JUDGED),
    "invalid_json": (("invalid_json", "not_an_object"), MECHANICAL),
    "ragged_row": (("wrong_column_count",), MECHANICAL),
    "leak_exact": (("overlap",), MECHANICAL),
    "leak_near": (("overlap",), MECHANICAL),
}


@dataclass(frozen=True)
class Score:
    """How one planted kind fared in one file. `false_alarms` are row numbers."""

    file: str
    planted: str
    rows: int
    recall: float
    precision: float | None
    target: float
    missed: list[int]
    false_alarms: list[int]

    @property
    def good(self) -> bool:
        """Whether both figures reach the target; no precision where nothing was flagged."""
        return self.recall >= self.target and self.precision is not None and self.precision >= self.target


def loaded(store: Store, path: Path) -> DatasetCard:
    """The file as a dataset."""
    request = LoadDatasetRequest(
        source=path.name,
        source_kind="local",
        path=str(path),
        subset=None,
        split="train",
        revision=None,
        format="auto",
        columns=None,
        template=None,
        max_rows=None,
    )
    job = job_of(store, Work.LOAD_DATASET, request)
    card = load_job.run(job)
    write_document(job.paths.result, card)
    return card


def job_of(store: Store, work: Work, request: Document) -> JobContext:
    """The surroundings of a job with this request."""
    paths = store.handle(new_handle(work))
    paths.folder.mkdir(parents=True)
    write_document(paths.request, request)
    return JobContext(store, paths, Journal(paths.journal, attempt=1))


def found(path: Path) -> tuple[dict[str, set[int]], int]:
    """What load_dataset finds: kind of defect -> numbers of the rows that have it, from 1; and the rows read."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        card = loaded(store, path)
        flags: dict[str, set[int]] = defaultdict(set)
        for part in read_flags(store.handle(card.dataset_id).flags):
            for kind in part.kinds():
                flags[kind] |= set(part.rows(kind).tolist())
    return flags, card.rows_read


def leaks(path: Path, held_out: Path) -> dict[str, set[int]]:
    """The rows that build_golden_set takes out of `path` because they overlap with `held_out`."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        dataset, other = loaded(store, path), loaded(store, held_out)
        request = BuildGoldenSetRequest(
            dataset_id=dataset.dataset_id,
            size=2,
            stratify_by=None,
            seed=0,
            decontaminate_against=[other.dataset_id],
            train_dataset_id=new_handle(Work.LOAD_DATASET),
        )
        golden_job.run(job_of(store, Work.BUILD_GOLDEN_SET, request))
        dropped, _ = read_flags(store.handle(request.train_dataset_id).flags)
    return {"overlap": set(dropped.rows("overlap").tolist())}


def turns_of(row: Row) -> list[tuple[str, str]]:
    """A stored row as (role, text), a plain text as one turn of nobody."""
    if row.messages:
        return [(turn.role, turn.content) for turn in row.messages]
    return [("user", row.prompt), ("assistant", row.completion)] if row.prompt else [("", row.completion)]


def wanted_turns(record: dict[str, Any], shape: str) -> list[tuple[str, str]]:
    """What a record of a labelled shape says, found by another way than the product's."""
    if shape == "shape:paired_turns":
        return [(role, pair[key]) for pair in record["conversation"] for role, key in _PAIR]
    if shape == "shape:history_pairs":
        pairs = [*record["history"], *([(record["query"], record["response"])] if "query" in record else [])]
        return [(role, text) for pair in pairs for (role, _), text in zip(_PAIR, pair, strict=True)]
    if shape == "shape:chatml_text":
        parts = record["text"].split("<|im_start|>")[1:]
        return [tuple(part.split("<|im_end|>")[0].split("\n", 1)) for part in parts]  # type: ignore[misc]
    if shape.startswith("shape:"):
        turns = next(value for value in record.values() if isinstance(value, list | str))
        turns = json.loads(turns) if isinstance(turns, str) else turns
        return [_turn(turn) for turn in turns]
    if shape == "schema:messages":
        return [(turn["role"], turn["content"]) for turn in record["messages"]]
    if shape == "schema:text":
        return [("", record["text"])]
    asked, answer = next(
        (keys for keys in _ASKED_AND_ANSWER if set(keys) <= record.keys()), ("instruction", "output")
    )
    given = record.get("input", "")
    return [
        ("user", f"{record[asked]}\n\n{given}" if given else record[asked]),
        ("assistant", record[answer]),
    ]


_PAIR = (("user", "human"), ("assistant", "assistant"))
_ASKED_AND_ANSWER = (("question", "answer"), ("prompt", "completion"), ("prompt", "chosen"))
_USERS = {"user", "human"}


def _turn(turn: dict[str, Any]) -> tuple[str, str]:
    speaker = str(turn.get("role") or turn.get("from") or turn.get("speaker")).lower()
    text = turn.get("content") or turn.get("value") or turn.get("text")
    if isinstance(text, list):
        text = "".join(part["text"] for part in text)
    role = (
        "user" if speaker in _USERS else "system" if "role" in turn and speaker == "system" else "assistant"
    )
    return role, str(text)


def misread(folder: Path, file: str) -> list[int]:
    """Numbers of the rows of a file of mixed shapes that are missing or stand in other roles than they should."""
    records = [json.loads(line) for line in (folder / file).read_text(encoding="utf-8").splitlines()]
    labels = labels_of(folder, file)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch))
        rows = {
            row.number: row for row in iter_rows(store.handle(loaded(store, folder / file).dataset_id).rows)
        }
    return [
        number
        for number, record in enumerate(records, start=1)
        if number not in rows or turns_of(rows[number]) != wanted_turns(record, labels[number][0])
    ]


def labels_of(folder: Path, file: str) -> dict[int, list[str]]:
    """Row number -> what was planted in it."""
    path = folder / "labels" / f"{file}.labels.jsonl"
    if not path.exists():
        return {}
    labels = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {label["index"] + 1: label["defects"] for label in labels}


def scores_of(file: str, labels: dict[int, list[str]], flags: dict[str, set[int]]) -> list[Score]:
    """One score for each planted kind of a file."""
    planted: dict[str, set[int]] = defaultdict(set)
    for number, defects in labels.items():
        for defect in defects:
            if defect in EXPECTED:
                planted[defect].add(number)
    scores = []
    for defect, numbers in planted.items():
        kinds, target = EXPECTED[defect]
        flagged = set().union(*(flags.get(kind, set()) for kind in kinds))
        alarms = flagged - labels.keys()
        recall = len(flagged & numbers) / len(numbers)
        precision = 1 - len(alarms) / len(flagged) if flagged else None
        missed = sorted(numbers - flagged)
        scores.append(Score(file, defect, len(numbers), recall, precision, target, missed, sorted(alarms)))
    return scores


def report(scores: list[Score], show: bool) -> None:
    """A line for each score."""
    for score in scores:
        precision = "   -" if score.precision is None else f"{score.precision:4.2f}"
        mark = "" if score.good else "  below target"
        print(
            f"{score.file:<28}{score.planted:<30}{score.rows:5}{score.recall:9.2f}{precision:>10}{score.target:9.2f}{mark}"
        )
        if show and (score.missed or score.false_alarms):
            print(f"    missed {score.missed}, false alarms {score.false_alarms}")


def main() -> None:
    """Print both tables, and what stays below its target."""
    parser = argparse.ArgumentParser(
        description="Recall and precision of the quality report on planted defects."
    )
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--show", action="store_true", help="list missed rows and false alarms by number")
    arguments = parser.parse_args()
    if not (arguments.folder / "labels").is_dir():
        print(f"{arguments.folder} has no labelled files: nothing to measure.")
        return
    print(f"{'file':<28}{'planted':<30}{'rows':>5}{'recall':>9}{'precision':>10}{'target':>9}")
    scores: list[Score] = []
    for path in sorted((arguments.folder / "labels").iterdir()):
        file = path.name.removesuffix(".labels.jsonl")
        labels = labels_of(arguments.folder, file)
        if any(defect in EXPECTED for defects in labels.values() for defect in defects):
            flags = found(arguments.folder / file)[0]
            if file == LEAKING[0]:
                flags |= leaks(*(arguments.folder / name for name in LEAKING))
            part = scores_of(file, labels, flags)
            report(part, arguments.show)
            scores += part
    print(f"\n{sum(score.good for score in scores)} of {len(scores)} planted kinds reach their target.\n")
    for file in MIXED_FILES:
        print(f"{file:<28}{len(misread(arguments.folder, file)):5} rows missing or in the wrong roles")
    print()
    for file in SOUND_FILES:
        flags, rows_read = found(arguments.folder / file)
        rows = set().union(*flags.values()) if flags else set()
        share = len(rows) / rows_read
        mark = "" if share <= SOUND_LIMIT else "  above 1 %"
        print(f"{file:<28}{share:8.1%} of the rows flagged{mark}")
        if arguments.show:
            print(f"    { {kind: sorted(numbers) for kind, numbers in flags.items() if numbers} }")


if __name__ == "__main__":
    main()
