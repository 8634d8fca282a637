"""Handles: the names that pass between calls. They carry 80 random bits, so they cannot be guessed."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import InvalidArgument

PREFIX_OF_WORK: dict[Work, str] = {
    Work.LOAD_DATASET: "ds",
    Work.CLEAN_DATASET: "clean",
    Work.BUILD_GOLDEN_SET: "gold",
    Work.FIND_MODELS: "find",
    Work.CONFIGURE: "plan",
    Work.TRAIN: "run",
    Work.EVALUATE: "eval",
    Work.GENERATE: "gen",
    Work.COMPARE: "cmp",
    Work.PUSH: "push",
}
WORK_OF_PREFIX: dict[str, Work] = {prefix: work for work, prefix in PREFIX_OF_WORK.items()}
NOUN_OF_PREFIX: dict[str, str] = {
    "ds": "dataset",
    "clean": "cleaning",
    "gold": "golden set",
    "find": "search",
    "plan": "plan",
    "run": "run",
    "eval": "evaluation",
    "gen": "generation",
    "cmp": "comparison",
    "push": "push",
}
MADE_BY_PREFIX: dict[str, str] = {
    "ds": "load_dataset",
    "clean": "clean_dataset",
    "gold": "build_golden_set",
    "find": "find_models",
    "plan": "configure_lora",
    "run": "start_training",
    "eval": "evaluate_model",
    "gen": "generate_text",
    "cmp": "compare_models",
    "push": "push_to_hub",
}
_HANDLE = re.compile(r"(ds|clean|gold|find|plan|run|eval|gen|cmp|push)-[a-z2-7]{16}")
_BITS_AS_BYTES = 10


def new_handle(work: Work) -> str:
    """A fresh handle, for example `run-4q7w2m5k6n3p7r2s`."""
    return _encode(work, secrets.token_bytes(_BITS_AS_BYTES))


def derived_handle(work: Work, *parts: str) -> str:
    """The one handle that belongs to `parts`: asking again with the same parts names the same thing.

    It is as hard to guess as the parts are; one of them has to be a random handle.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return _encode(work, digest[:_BITS_AS_BYTES])


def is_handle(value: str, prefix: str | None = None) -> bool:
    """Whether `value` has the form of a handle (of the kind `prefix`, when given)."""
    return _HANDLE.fullmatch(value) is not None and (prefix is None or value.startswith(f"{prefix}-"))


def work_of(handle: str) -> Work:
    """The kind of work behind a well-formed handle."""
    return WORK_OF_PREFIX[handle.partition("-")[0]]


def require_handle(value: str, prefix: str, parameter: str) -> str:
    """`value` itself when it has the form of a handle of the wanted kind.

    Raises:
        InvalidArgument: it has not; the message says which tool makes such handles.
    """
    if not is_handle(value, prefix):
        raise InvalidArgument(
            f"{parameter} is not the handle of a {NOUN_OF_PREFIX[prefix]} (they look like {prefix}-… and come "
            f"from {MADE_BY_PREFIX[prefix]}).",
            f"Pass the {prefix}-… handle that {MADE_BY_PREFIX[prefix]} returned, unchanged.",
        )
    return value


def _encode(work: Work, raw: bytes) -> str:
    return f"{PREFIX_OF_WORK[work]}-{base64.b32encode(raw).decode().lower()}"
