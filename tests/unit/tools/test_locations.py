from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.schemas.errors import InvalidArgument, SourceNotFound, TunesmithError, UnsafePath
from tunesmith.tools.locations import locate_dataset


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with data, the only one that may be read."""
    folder = (tmp_path / "inside").resolve()
    (folder / "data").mkdir(parents=True)
    for name in ("data/a.jsonl", "data/b.jsonl", "data/x, y.jsonl", "c[1].csv"):
        (folder / name).write_text("{}")
    (tmp_path / "outside.jsonl").write_text("{}")
    (folder / "way_out").symlink_to(tmp_path)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("TUNESMITH_ROOTS", raising=False)
    return folder


@pytest.mark.parametrize(
    "source", ["data/a.jsonl", "data", "./data/../data/a.jsonl", "data/x, y.jsonl", "c[1].csv"]
)
def test_a_path_that_exists_is_that_path(inside: Path, source: str) -> None:
    location = locate_dataset(source)
    assert (location.kind, location.path, location.paths) == ("local", str((inside / source).resolve()), ())


@pytest.mark.parametrize("between", [",", ", ", "\n", "\n\n"])
def test_several_paths_stand_between_commas_or_lines(inside: Path, between: str) -> None:
    location = locate_dataset(between.join(["data/b.jsonl", "data/a.jsonl", "data/*.csv"]))
    assert location.path is None
    assert location.paths == tuple(str(inside / "data" / name) for name in ("b.jsonl", "a.jsonl", "*.csv"))


def test_a_pattern_begins_at_a_resolved_folder(inside: Path) -> None:
    (inside / "link").symlink_to(inside / "data")
    assert locate_dataset("link/**/*.jsonl").path == str(inside / "data" / "**" / "*.jsonl")
    assert locate_dataset("*.jsonl").path == str(inside / "*.jsonl")


@pytest.mark.row("S6")
@pytest.mark.parametrize(
    "source",
    [
        "../outside.jsonl",
        "way_out/outside.jsonl",
        "way_out/*.jsonl",
        "/**/*.jsonl",
        "../*.jsonl",
        "data/a.jsonl, ../outside.jsonl",
        "data/a.jsonl\nway_out/*",
        "/etc/passwd",
        "~root/x.jsonl",
    ],
)
def test_every_path_outside_the_roots_is_refused(source: str) -> None:
    with pytest.raises((UnsafePath, InvalidArgument)) as raised:
        locate_dataset(source)
    assert raised.type is UnsafePath or "~root" in source


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("data/gone.jsonl", SourceNotFound),
        ("data/a.jsonl, data/gone.jsonl", SourceNotFound),
        ("gone/*.jsonl", SourceNotFound),
        ("data/*/../*.jsonl", InvalidArgument),
        ("data/a.jsonl, org/name", InvalidArgument),
        ("a.jsonl," * 200, InvalidArgument),
        (", ,", InvalidArgument),
        ("data/\0*.jsonl", InvalidArgument),
        ("https://example.org/*.jsonl", InvalidArgument),
        ("x" * 1_000, InvalidArgument),
        ("x" * 400 + "*", SourceNotFound),
    ],
)
def test_what_names_nothing_is_told(source: str, error: type[TunesmithError]) -> None:
    try:
        location = locate_dataset(source)
    except error:
        return
    assert error is SourceNotFound
    assert location.path is not None  # a pattern: what it matches is looked up by the job


def test_a_missing_one_of_several_is_named() -> None:
    with pytest.raises(SourceNotFound, match=r'"data/c\.jsonl"\. Near it: .*b\.jsonl'):
        locate_dataset("data/a.jsonl, data/c.jsonl")


def test_a_hub_id_stays_one() -> None:
    assert locate_dataset("org/name").kind == "hub"
