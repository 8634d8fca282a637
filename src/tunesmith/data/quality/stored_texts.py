"""Stored rows as what they ask and what they answer, in Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunesmith.data.templates import instruction_prompt

TEXT_COLUMNS = ["prompt", "completion", "messages"]

_HEADINGS = [part for part in instruction_prompt("\0", "\0").split("\0") if part]


def asked_and_answers(batch: Any) -> tuple[Any, Any]:
    """Two Arrow string arrays: what each row asks, and what it answers.

    Of a conversation: the text of everything before the last assistant message, and that message with its tool calls.
    The headings that Tunesmith puts around an instruction are left out. A plain text asks nothing.
    """
    names = batch.schema.names
    if "messages" not in names:
        return _without_headings(batch.column("prompt")), pc.fill_null(batch.column("completion"), "")
    asked, answers = _of_conversations(batch.column("messages"))
    if "prompt" not in names:
        return asked, answers
    paired = pc.is_valid(batch.column("prompt"))
    return (
        pc.if_else(paired, _without_headings(batch.column("prompt")), asked),
        pc.if_else(paired, pc.fill_null(batch.column("completion"), ""), answers),
    )


def _without_headings(prompts: Any) -> Any:
    prompts = pc.fill_null(prompts, "")
    for heading in _HEADINGS:
        prompts = pc.replace_substring(prompts, pattern=heading, replacement="\n")
    return prompts


def _of_conversations(messages: Any) -> tuple[Any, Any]:
    """Each list of messages cut into before, last answer and after, and each of the three joined."""
    turns = messages.flatten()
    ends = np.cumsum(pc.fill_null(pc.list_value_length(messages), 0).to_numpy(zero_copy_only=False))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    said = pc.binary_join_element_wise(
        pc.fill_null(turns.field("content"), ""), pc.fill_null(turns.field("tool_calls"), ""), "\n"
    )
    is_answer = pc.equal(turns.field("role"), "assistant").to_numpy(zero_copy_only=False)
    marked = np.where(is_answer, np.arange(1, len(turns) + 1), 0)
    latest = np.maximum.accumulate(marked) if len(marked) else marked
    last = np.where(ends > 0, latest[np.maximum(ends - 1, 0)] if len(marked) else 0, 0)
    answered = last > starts
    cut = np.where(answered, last - 1, ends)
    after = np.where(answered, last, ends)
    bounds: Any = np.append(np.stack([starts, cut, after], axis=1).ravel(), len(turns)).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds), said), "\n")
    every = np.arange(0, 3 * len(messages), 3)
    return joined.take(pa.array(every)), joined.take(pa.array(every + 1))
