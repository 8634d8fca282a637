"""Text of models and data sets made harmless to show: no terminal commands, nothing unseen, not endless."""

from __future__ import annotations

import re

# CSI and OSC sequences (ECMA-48), in their seven-bit (ESC) and eight-bit (C1) forms, and the short escapes.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_UNSEEN = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\ufe00-\ufe0e"  # variation selectors, but for the one that emoji need
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"  # zero width, bidirectional controls
    "\ufff9-\ufffb"  # interlinear annotation
    "\U000e0000-\U000e0fff"  # tags and the selectors behind them, which can spell hidden text
    "]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_NEWLINES = re.compile("\r\n?|[\u2028\u2029\x85]")


def scrub(text: str, limit: int) -> str:
    """`text` without ANSI escapes and control, bidirectional, zero-width and tag characters.

    At most `limit` characters come back; a text that had to be cut ends in an ellipsis. Newlines (in whatever
    form) and tabs stay; lone surrogates, which no encoder takes, become U+FFFD. Scrubbing twice
    changes nothing.
    """
    shown = _SURROGATES.sub("\ufffd", _UNSEEN.sub("", text))
    shown = _CONTROLS.sub("", _ANSI.sub("", _NEWLINES.sub("\n", shown)))
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def visible(text: str) -> str:
    """`text` with those characters spelled out (\\u202e) instead of left away: a name can still be told by it."""
    for hidden in (_UNSEEN, _CONTROLS, _SURROGATES):
        text = hidden.sub(_spelled_out, text)
    return text


def _spelled_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
