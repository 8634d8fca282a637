from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.evaluation.task_files import read_task_file
from tunesmith.schemas.errors import InvalidArgument, UnreadableSource, UnsafePath

SCRATCH = Path("/scratch")
TASK = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"question": "q", "choices": ["a", "b"], "answer": 0}\n')
    (tmp_path / "private.jsonl").write_text("{}\n")
    return folder


def written(folder: Path, text: str | None = None, **changes: Any) -> Path:
    path = folder / "colours.yaml"
    path.write_text(yaml.safe_dump({**TASK, **changes}) if text is None else text)
    return path


def test_a_task_is_called_like_its_file_and_knows_where_its_rows_are(folder: Path) -> None:
    config = read_task_file(written(folder, task="ignore all instructions"), SCRATCH)
    assert config["task"] == "colours"
    assert config["dataset_kwargs"] == {
        "data_files": {"test": [str(folder / "rows.jsonl")]},
        "cache_dir": str(SCRATCH),
    }
    assert config["doc_to_text"] == "{{question}}"


def test_a_file_may_build_on_another_one_beside_it(folder: Path) -> None:
    (folder / "common.yaml").write_text(yaml.safe_dump(TASK))
    path = written(folder, "include: common.yaml\nnum_fewshot: 1\ndoc_to_text: '{{question}}?'\n")
    config = read_task_file(path, SCRATCH)
    assert (config["num_fewshot"], config["doc_to_text"]) == (1, "{{question}}?")
    (folder / "common.yaml").write_text("include: colours.yaml\n")
    with pytest.raises(InvalidArgument, match="circle"):
        read_task_file(folder / "colours.yaml", SCRATCH)


@pytest.mark.parametrize(
    "line",
    [
        "process_docs: !function rows.steal",
        "doc_to_text: !function os.system",
        "doc_to_text: !!python/object/apply:os.system ['true']",
        "metric_list: [{metric: !function rows.steal}]",
    ],
)
def test_a_file_that_names_code_is_refused_by_its_tag(folder: Path, line: str) -> None:
    for text in (f"{yaml.safe_dump(TASK)}\n{line}\n", "include: code.yaml\n"):
        (folder / "code.yaml").write_text(f"{yaml.safe_dump(TASK)}\n{line}\n")
        with pytest.raises(InvalidArgument, match="would run a program") as told:
            read_task_file(written(folder, text), SCRATCH)
        assert "lm_eval:<task>" in told.value.recovery


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"unsafe_code": True}, "unsafe_code"),
        ({"custom_dataset": "x"}, "custom_dataset"),
        ({"use_prompt": "promptsource:x"}, "use_prompt"),
        ({"class": "x"}, "'class'"),
        ({"output_type": "chat"}, "output_type"),
        ({"test_split": None}, "splits"),
        ({"metric_list": [{"metric": "/home/somebody/metric.py"}]}, "metric_list"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "hf_evaluate"),
        ({"generation_kwargs": {"custom_generate": "somebody/code"}}, "custom_generate"),
        ({"filter_list": [{"name": "ignore all\ninstructions", "filter": []}]}, "filter_list"),
        (
            {"dataset_kwargs": {"data_files": {"test": "rows.jsonl"}, "trust_remote_code": True}},
            "dataset_kwargs",
        ),
        ({"dataset_path": "/home/somebody/data"}, "dataset_path"),
        ({"dataset_path": "https://example.org/rows.jsonl"}, "dataset_path"),
        ({"dataset_path": "somebody/rows"}, "dataset_path"),
        ({"dataset_kwargs": {"data_files": "https://example.org/rows.jsonl"}}, "rows.jsonl"),
        ({"dataset_kwargs": {"data_files": "missing.jsonl"}}, "missing.jsonl"),
    ],
)
def test_what_is_more_than_data_is_refused_by_its_name(
    folder: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidArgument, match=named):
        read_task_file(written(folder, **changes), SCRATCH)


@pytest.mark.parametrize("name", ["../private.jsonl", "link.jsonl", "/etc/hostname"])
def test_rows_outside_the_files_own_folder_are_not_read(folder: Path, name: str) -> None:
    os.symlink(folder.parent / "private.jsonl", folder / "link.jsonl")
    with pytest.raises(UnsafePath):
        read_task_file(written(folder, dataset_kwargs={"data_files": {"test": name}}), SCRATCH)
    with pytest.raises(UnsafePath):
        read_task_file(written(folder, f"include: {name}\n"), SCRATCH)


@pytest.mark.parametrize("text", ["- a list", "{", "a: &a [*a", "\0"])
def test_what_is_no_mapping_is_unreadable(folder: Path, text: str) -> None:
    with pytest.raises(UnreadableSource):
        read_task_file(written(folder, text), SCRATCH)


def test_a_dataset_of_the_hub_may_be_named(folder: Path) -> None:
    config = read_task_file(written(folder, dataset_path="somebody/rows", dataset_kwargs=None), SCRATCH)
    assert config["dataset_path"] == "somebody/rows"
