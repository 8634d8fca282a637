"""The committed JSON schemas are what the models say."""

from __future__ import annotations

from tunesmith.schemas.export import FOLDER, exported


def test_the_committed_schemas_equal_the_models():
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == exported(), "run: python -m tunesmith.schemas.export"
