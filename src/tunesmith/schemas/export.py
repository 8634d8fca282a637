"""The contract as JSON schemas: `python -m tunesmith.schemas.export` rewrites the committed files.

One file per document that a tool returns or that is stored; a test holds them equal to the models.
"""

from __future__ import annotations

import json
from pathlib import Path

from tunesmith.schemas import comparisons, datasets, evaluations, models, plans, publishing, runs
from tunesmith.schemas.base import Document

FOLDER = Path(__file__).parent / "json"
_MODULES = (datasets, models, plans, runs, evaluations, comparisons, publishing)


def exported() -> dict[str, str]:
    """File name -> content."""
    models = {
        name: model
        for module in _MODULES
        for name, model in vars(module).items()
        if isinstance(model, type) and issubclass(model, Document) and model.__module__ == module.__name__
    }
    return {
        f"{name}.json": json.dumps(model.model_json_schema(mode="serialization"), indent=1, sort_keys=True)
        + "\n"
        for name, model in sorted(models.items())
    }


def write(folder: Path = FOLDER) -> None:
    """Make the folder hold exactly the exported schemas."""
    folder.mkdir(exist_ok=True)
    files = exported()
    for stale in {path.name for path in folder.glob("*.json")} - set(files):
        (folder / stale).unlink()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
