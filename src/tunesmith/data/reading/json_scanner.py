"""Where JSON values begin and end in a stream of UTF-8, without holding more of it than one value."""

from __future__ import annotations

import re
from typing import BinaryIO

BLOCK_BYTES = 262_144

_TOKEN = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+(?:"|(?=[\x00-\x1f]))|[{}\[\]]|"', re.DOTALL)
_STRING_REST = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\.)*+', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'[^\s,\]}{\["]*+')


class JsonScanner:
    """Walks over JSON text value by value. Values are found by their brackets and strings alone, not checked.

    A raw control character ends a string, as JSON has none in strings: so a stray quote does no harm beyond its line.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        """`longest`: bytes of a value to hold; a longer one is passed over."""
        self._stream = stream
        self._longest = longest
        self._buffer = b""
        self._at = 0
        self._ended = False
        self.offset = 0
        """Of the buffer's first byte in the stream."""
        self.restart: re.Pattern[bytes] | None = None
        """Where, in a value that has no end, the next one begins: the start of its group `next`."""

    @property
    def position(self) -> int:
        """The offset of the next byte in the stream."""
        return self.offset + self._at

    def peek(self) -> bytes:
        """The next byte that is no white space; b"" at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def take(self) -> None:
        """Pass over the byte that `peek` told."""
        self._at += 1

    def value(self, keep: bool = True) -> tuple[bytes | None, bool]:
        """The text of the next value and whether it is complete; None for one too long, or not to `keep`."""
        first = self.peek()
        if first in (b"{", b"["):
            return self._bracketed(keep)
        if first == b'"':
            return self._string(keep)
        return self._scalar(keep)

    def push_back(self, data: bytes) -> None:
        """Have `data`, the end of what was read last, read again."""
        self._buffer = data + self._buffer[self._at :]
        self.offset = self.position - len(data)
        self._at = 0

    def skip_to(self, position: int) -> None:
        """Go on at this offset, which lies ahead."""
        while self.offset + len(self._buffer) < position:
            self._at = len(self._buffer)
            if not self._more():
                return
        self._at = position - self.offset

    def _more(self) -> bool:
        """Read as much again as is still needed, at least a block, so that a long value is scanned few times."""
        rest = self._buffer[self._at :]
        block = self._stream.read(max(BLOCK_BYTES, len(rest))) if not self._ended else b""
        self._ended = not block
        self.offset += self._at
        self._at = 0
        self._buffer = rest + block
        return bool(block)

    def _bracketed(self, keep: bool) -> tuple[bytes | None, bool]:
        depth, scan = 0, self._at
        held = keep
        while True:
            depth, scan = self._scan_brackets(depth, scan)
            if depth == 0:
                text = self._buffer[self._at : scan] if held and scan - self._at <= self._longest else None
                self._at = scan
                return text, True
            if held and len(self._buffer) - self._at > self._longest:
                cut = self._restart()
                if cut is not None:
                    return cut, False
                held = False
            if not held:
                self._at = scan
                if len(self._buffer) - scan > self._longest:
                    self._skip_string()
                    scan = self._at
                    continue
            scan -= self._at
            if not self._more():
                return self._rest(held), False

    def _rest(self, held: bool) -> bytes | None:
        """What is left of a value that has no end: up to where another may begin, or all."""
        cut = self._restart() if held else None
        if cut is None:
            cut = self._buffer[self._at :]
            self._at = len(self._buffer)
        return cut if held else None

    def _restart(self) -> bytes | None:
        found = self.restart.search(self._buffer, self._at + 1) if self.restart else None
        if found is None:
            return None
        text = self._buffer[self._at : found.start("next")]
        self._at = found.start("next")
        return text

    def _scan_brackets(self, depth: int, scan: int) -> tuple[int, int]:
        """The depth behind all whole tokens that the buffer holds from `scan` on, and where they end."""
        for token in _TOKEN.finditer(self._buffer, scan):
            text = token[0]
            if text == b'"':  # cut by the buffer's end
                return depth, token.start()
            scan = token.end()
            if text in (b"{", b"["):
                depth += 1
            elif text in (b"}", b"]"):
                depth -= 1
                if depth == 0:
                    return 0, scan
        return depth, len(self._buffer)

    def _string(self, keep: bool) -> tuple[bytes | None, bool]:
        while True:
            token = _TOKEN.match(self._buffer, self._at)
            if token is not None and token[0] != b'"':
                self._at = token.end()
                return (token[0] if keep else None), token[0].endswith(b'"') and len(token[0]) > 1
            if len(self._buffer) - self._at > self._longest:
                return None, self._skip_string()
            if not self._more():
                return self._rest(True), False

    def _skip_string(self) -> bool:
        """Pass over a string without holding it; whether it has an end."""
        self._at += 1
        while True:
            found = _STRING_REST.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer) and self._buffer[self._at : self._at + 1] != b"\\":
                closed = self._buffer[self._at : self._at + 1] == b'"'
                self._at += closed
                return closed
            if not self._more():
                self._at = len(self._buffer)
                return False

    def _scalar(self, keep: bool) -> tuple[bytes | None, bool]:
        while True:
            found = _SCALAR.match(self._buffer, self._at)
            end = found.end() if found else self._at
            if end < len(self._buffer) or not self._more() or end - self._at > self._longest:
                break
        found = _SCALAR.match(self._buffer, self._at)
        end = found.end() if found else self._at
        text = self._buffer[self._at : end]
        self._at = end
        return (text if keep else None), bool(text)
