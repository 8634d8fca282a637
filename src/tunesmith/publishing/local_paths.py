"""Taking this machine's paths out of what is published.

A path on somebody's disk tells a stranger a user name, a project's name or a customer's, and helps nobody to
load a model. What remains of one is its last part: the name of the folder or file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tunesmith.schemas.plans import ModelKind

# What of a plan is published: all of it but the rendered example, which is a row of training data. Naming the
# fields that stay means that one added to the plan tomorrow does not go public by itself.
PLAN_FIELDS = frozenset(
    {
        "schema_version", "plan_id", "dataset_id", "golden_set_id", "format", "train_rows", "config",
        "reasons", "memory", "estimated_seconds", "warnings", "dataset_fingerprint", "golden_dev_fingerprint",
        "base_fingerprint", "versions", "created_at",
    }
)  # fmt: skip

_NAME_KEYS = frozenset({"base_model_name_or_path", "name_or_path", "_name_or_path"})
_PATH_KEY_ENDINGS = ("_file", "_path", "_dir", "_folder")
_WHOLE = re.compile(r"(file://)?(~|/|[A-Za-z]:[\\/]|\\\\|\.{1,2}[\\/])[^\n]*")
# A path within prose: it does not begin within a word, a URL or another path, and has at least two parts.
_WITHIN = re.compile(
    r"(?:file://)?(?<![\w/\\.:~-])(?:~?/[^\s/'\"`<>|,;)\]}]+|[A-Za-z]:[\\/][^\s\\/'\"`<>|,;)\]}]+|\\\\[^\s\\]+)"
    r"(?:[\\/][^\s\\/'\"`<>|,;)\]}]+)+[\\/]?"
)
_HUB_CACHE = re.compile(r"[\\/]models--([\w.-]+?)--([\w.-]+)[\\/]")


def is_local(value: str) -> bool:
    """Whether `value` as a whole is written like a path on a disk."""
    return _WHOLE.fullmatch(value) is not None


def last_part(path: str) -> str:
    """A path's last part; for a folder of the Hub's download cache the id it was downloaded from."""
    if cached := _HUB_CACHE.search(path):
        return f"{cached[1]}/{cached[2]}"
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or "local"


def without_paths(text: str) -> str:
    """`text` with every local path in it shortened to its last part."""
    if is_local(text):
        return last_part(text)
    return _WITHIN.sub(lambda found: last_part(found[0]), text)


def base_model_name(name: str, kind: ModelKind) -> str:
    """What strangers may read of a base model: its Hub id, or the name of its folder."""
    return name if kind == "hub" and not is_local(name) else last_part(name)


def publishable_plan(stored: bytes) -> bytes:
    """A stored plan without the example row and without this machine's paths.

    Raises:
        ValueError: the plan is not a JSON object.
    """
    plan = _json_object(stored)
    config = plan.get("config")
    known = dict[str, str]()
    if isinstance(config, dict):
        for key in ("base_model_path", "base_model"):
            value = config.get(key)
            if isinstance(value, str) and (is_local(value) or config.get("base_model_kind") == "local"):
                known[value] = last_part(value)
    kept = {key: value for key, value in plan.items() if key in PLAN_FIELDS}
    return _json_bytes(_scrubbed(kept, known))


def publishable_config(stored: bytes, kind: ModelKind) -> bytes:
    """A configuration that transformers or peft wrote, without local paths; unchanged bytes if it had none.

    Only keys that hold paths are looked at: special tokens and a chat template may look like paths too.

    Raises:
        ValueError: the configuration is not a JSON object.
    """
    config = _json_object(stored)
    changed = {key: _published_value(key, value, kind) for key, value in config.items()}
    return stored if changed == config else _json_bytes(changed)


def _published_value(key: str, value: Any, kind: ModelKind) -> Any:
    if not isinstance(value, str):
        return value
    if key in _NAME_KEYS:
        return base_model_name(value, kind)
    return last_part(value) if key.endswith(_PATH_KEY_ENDINGS) and is_local(value) else value


def _scrubbed(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _scrubbed(inner, known) for key, inner in value.items() if key != "untrusted_text"}
    if isinstance(value, list):
        return [_scrubbed(inner, known) for inner in value]
    if not isinstance(value, str):
        return value
    # Exact paths first: within prose, one with a space in it cannot be told from the words around it.
    for path, name in known.items():
        value = value.replace(path, name)
    return without_paths(value)


def _json_object(stored: bytes) -> dict[str, Any]:
    value = json.loads(stored)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
