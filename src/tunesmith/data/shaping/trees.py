"""Reply trees, as OpenAssistant publishes them: the conversation along the best-ranked replies."""

from __future__ import annotations

import math
from typing import Any

from tunesmith.data.shaping.spellings import speaker_of


def is_tree(value: Any) -> bool:
    """Whether an object is the first message of a reply tree."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("replies"), list)
        and ("text" in value or "content" in value)
    )


def best_path(root: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns from the root to a leaf, as {role, content}.

    Of an assistant's replies the one of lowest rank is taken, of equal ones the first; of a user's the first
    that somebody answered. Deleted messages are passed over.
    """
    path: list[dict[str, Any]] = []
    node: dict[str, Any] | None = root
    while node is not None:
        path.append({"role": node.get("role", "prompter"), "content": node.get("text", node.get("content"))})
        replies = node.get("replies")
        living = [reply for reply in replies if _lives(reply)] if isinstance(replies, list) else []
        node = min(living, key=_order, default=None)
    return path


def _lives(reply: Any) -> bool:
    return isinstance(reply, dict) and not reply.get("deleted") and reply.get("review_result") is not False


def _order(reply: dict[str, Any]) -> tuple[float, bool]:
    """Lower comes first. min() keeps the first of equals."""
    is_leaf_of_user = speaker_of(str(reply.get("role"))) == "user" and not reply.get("replies")
    try:
        rank = float(reply["rank"])
    except (KeyError, TypeError, ValueError):
        rank = math.inf
    return rank, is_leaf_of_user
