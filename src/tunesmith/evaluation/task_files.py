"""A benchmark of one's own: a task file of lm-evaluation-harness, of which only what is data is taken.

The harness runs whatever a task file names: functions behind `!function`, metrics that it downloads as programs,
arguments of `generate` that fetch code. So a file may hold the keys and values listed here and nothing else, and its
data lie in its own folder or on the Hub. What its templates may do is bounded in `harness`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tunesmith.schemas.errors import InvalidArgument, UnreadableSource, UnsafePath

LARGEST_BYTES = 262_144
_KEYS = {
    "task", "task_alias", "tag", "metadata", "include",
    "dataset_path", "dataset_name", "dataset_kwargs",
    "training_split", "validation_split", "test_split", "fewshot_split", "num_fewshot",
    "output_type", "description", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix",
    "target_delimiter", "fewshot_delimiter", "generation_kwargs", "repeats", "filter_list", "metric_list",
}  # fmt: skip
_TEXT_KEYS = (
    "description",
    "doc_to_text",
    "gen_prefix",
    "target_delimiter",
    "fewshot_delimiter",
    "dataset_name",
)
_OUTPUT_TYPES = ("multiple_choice", "generate_until", "loglikelihood", "loglikelihood_rolling")
_METRICS = {
    "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all", "exact_match", "perplexity", "likelihood",
    "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "f1", "mcc", "bleu", "chrf", "chrf++", "ter",
}  # fmt: skip
_METRIC_KEYS = {
    "metric", "aggregation", "higher_is_better", "ignore_case", "ignore_punctuation", "ignore_numbers",
    "regexes_to_ignore",
}  # fmt: skip
_GENERATION_KEYS = {
    "until", "do_sample", "temperature", "top_p", "top_k", "max_gen_toks", "max_new_tokens", "repetition_penalty",
}  # fmt: skip
_LOCAL_READERS = {"json", "csv", "parquet", "text", "arrow"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_NAME = re.compile(r"[\w.+-]{1,60}")
_ADVICE = (
    "Change the task file, or name a task of lm-evaluation-harness instead (lm_eval:<task>), and call again."
)


def read_task_file(path: Path, scratch: Path) -> dict[str, Any]:
    """The configuration for the harness's ConfigurableTask, named like the file, with absolute paths of its data.

    Whoever reads the data copies them below `scratch`, and not into the cache that all programs of this user share.

    Raises:
        InvalidArgument: it holds code, or something else that is not taken.
        UnsafePath: it reads files outside its own folder.
        UnreadableSource: it is no YAML mapping.
    """
    config = _with_includes(path, path.parent, ())
    for key in sorted(config.keys() - _KEYS, key=str):
        raise _refused(path, f"the key {str(key)[:40]!r}", "it is none that a task of mere data needs")
    if config.get("output_type") not in _OUTPUT_TYPES:
        raise _refused(path, "its output_type", f"it has to be one of {', '.join(_OUTPUT_TYPES)}")
    if not isinstance(config.get("test_split", config.get("validation_split")), str):
        raise _refused(path, "its splits", "test_split or validation_split has to name the rows to score")
    for key in _TEXT_KEYS:
        if not isinstance(config.get(key, ""), str):
            raise _refused(path, f"its {key}", "it has to be text")
    _check_metrics(path, config.get("metric_list"))
    _check_generation(path, config.get("generation_kwargs"))
    _check_filters(path, config.get("filter_list"))
    return {**config, **_data(path, config, scratch), "task": path.stem}


def _with_includes(path: Path, folder: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    config = _parsed(path)
    named = config.pop("include", [])
    merged: dict[str, Any] = {}
    for name in named if isinstance(named, list) else [named]:
        included = _inside(path, folder, name)
        if included in (*seen, path):
            raise _refused(path, f"the include {included.name}", "it goes round in a circle")
        merged.update(_with_includes(included, folder, (*seen, path)))
    return {**merged, **config}


def _parsed(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_BYTES:
        raise UnreadableSource(f"{path.name} has more than {LARGEST_BYTES} bytes.", "Pass a task file.")
    try:
        config = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses more
    except _Tagged as tagged:
        raise _refused(
            path, f"the tag {tagged.args[0]!r}", "it would run a program, and task files are data here"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableSource(f"{path.name} is no YAML file.", "Pass a task file.") from error
    if not isinstance(config, dict):
        raise UnreadableSource(f"{path.name} is no YAML mapping.", "Pass a task file.")
    return config


class _Tagged(Exception):
    """A tag such as !function."""


class _Loader(yaml.SafeLoader):
    """Of all tags only those that YAML itself gives to plain values."""


def _refuse_tag(_loader: yaml.SafeLoader, suffix: str, _node: yaml.Node) -> None:
    raise _Tagged(f"!{suffix}"[:40])


_Loader.add_multi_constructor("!", _refuse_tag)
_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _refuse_tag)


def _check_metrics(path: Path, metrics: Any) -> None:
    for entry in _mappings(path, "metric_list", metrics):
        if entry.get("metric") not in _METRICS:
            raise _refused(path, "a metric in metric_list", f"it takes {', '.join(sorted(_METRICS))}")
        for key in entry.keys() - _METRIC_KEYS:
            raise _refused(
                path, f"{str(key)[:40]!r} in metric_list", f"it takes {', '.join(sorted(_METRIC_KEYS))}"
            )
        if not isinstance(entry.get("aggregation", ""), str):
            raise _refused(path, "an aggregation in metric_list", "it has to be a name")


def _check_generation(path: Path, arguments: Any) -> None:
    if arguments is None:
        return
    for key in _mappings(path, "generation_kwargs", [arguments])[0].keys() - _GENERATION_KEYS:
        raise _refused(
            path, f"{str(key)[:40]!r} in generation_kwargs", f"it takes {', '.join(sorted(_GENERATION_KEYS))}"
        )


def _check_filters(path: Path, filters: Any) -> None:
    for entry in _mappings(path, "filter_list", filters):
        if not isinstance(entry.get("name"), str) or not _NAME.fullmatch(entry["name"]):
            raise _refused(path, "a name in filter_list", "letters, digits and . _ + - are taken")
        for step in _mappings(path, "filter_list", entry.get("filter")):
            if not isinstance(step.get("function"), str):
                raise _refused(
                    path, "a function in filter_list", "it has to be the name of one of the harness's"
                )


def _mappings(path: Path, key: str, entries: Any) -> list[Mapping[str, Any]]:
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _refused(path, f"its {key}", "it is not laid out as the harness wants it")
    return entries


def _data(path: Path, config: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Where the rows come from: files beside the task file, or a dataset of the Hub."""
    reader, arguments = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    if reader not in _LOCAL_READERS:
        if not isinstance(reader, str) or not _HUB_ID.fullmatch(reader) or arguments:
            raise _refused(
                path,
                "its dataset_path",
                f"it takes {', '.join(sorted(_LOCAL_READERS))} with data_files, or a Hub id (org/name) without "
                "dataset_kwargs",
            )
        return {}
    if not isinstance(arguments, dict) or arguments.keys() != {"data_files"}:
        raise _refused(path, "its dataset_kwargs", "it takes data_files alone")
    files = arguments["data_files"]
    splits = files if isinstance(files, dict) else {"train": files}
    located = {
        str(split): [
            str(_inside(path, path.parent, name)) for name in (names if isinstance(names, list) else [names])
        ]
        for split, names in splits.items()
    }
    return {"dataset_kwargs": {"data_files": located, "cache_dir": str(scratch)}}


def _inside(path: Path, folder: Path, name: Any) -> Path:
    """A file that a task file names, which has to lie in the task file's own folder."""
    if not isinstance(name, str):
        raise _refused(path, "a file name in it", "it has to be text")
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise UnsafePath(
            f"The task file {path.name} names a file outside its own folder.",
            "Move what it reads beside it, and name it relative to the task file.",
        )
    if not file.is_file():
        raise _refused(path, f"the file {file.name}", "there is none in its folder")
    return file


def _refused(path: Path, what: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"The task file {path.name} cannot be used because of {what}: {why}.", _ADVICE)
