"""The demo that needs no network: a tiny base model, a data set it cannot do yet, and how both were made.

Importing this package is cheap on purpose: the server asks it for paths and must never load torch for that.
"""

from pathlib import Path

__all__ = ["base_model_path", "dataset_path"]

_HERE = Path(__file__).resolve().parent


def base_model_path() -> Path:
    """Folder of the embedded base model and its tokenizer, in the Hugging Face layout."""
    return _HERE / "base"


def dataset_path() -> Path:
    """The demo data set: JSON lines with the fields `instruction` and `response`."""
    return _HERE / "orders.jsonl"
