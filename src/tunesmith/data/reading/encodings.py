"""Which encoding a text is in, by evidence, and the text as UTF-8.

A byte-order mark decides. Without one: NUL bytes in every other place are UTF-16; lines beyond ASCII that are valid
beside few that are not are UTF-8 with damage; text with none is in an older encoding, which chardet tells apart. JSON
is UTF-8 by RFC 8259, so few bad lines among many are damage there, not another encoding.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

import chardet
from chardet import EncodingEra

from tunesmith.schemas.errors import UnreadableSource

EVIDENCE_BYTES = 64_000_000
"""How much of a file is looked at for bytes that are not ASCII."""

INVALID = "\udcff"
"""Stands for bytes that are no text. As UTF-8 it becomes the byte FF, which is never valid."""

_BLOCK_BYTES = 262_144
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HIGH_LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_CHARACTERS_TRIED = 20_000
_ERAS = EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO | EncodingEra.LEGACY_MAC
_WESTERN = "cp1252"
_CONTROLS = re.compile(r"[\x80-\x9f]")
_ALPHABETIC = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1dff]")
"""Letters of alphabets from Greek on; not those of Chinese, Japanese and Korean, beside which Latin ones stand."""
_SAMPLE_BYTES = 200_000
_DAMAGED_SHARE = 0.3
_LEAST_VALID_SHARE = 0.1


class Evidence:
    """What the bytes of a text say about its encoding. Feed it blocks, then ask."""

    def __init__(self) -> None:
        self._lines = 0
        self._good_lines = 0
        self._bad_lines = 0
        self._sample = b""
        self._rest = b""

    def add(self, block: bytes) -> None:
        """The next block of the text."""
        if not self._rest and block.isascii():
            self._lines += block.count(b"\n")
            return
        block = self._rest + block
        whole = block.rfind(b"\n") + 1 or max(0, len(block) - 3)
        whole = whole if len(block) - whole <= _BLOCK_BYTES else len(block) - 3
        self._rest = block[whole:]
        self._judge(block[:whole])

    def encoding(self, is_json: bool, name: str) -> str:
        """The codec.

        Raises:
            UnreadableSource: neither UTF-8 nor any older encoding that chardet knows.
        """
        self._judge(self._rest)
        self._rest = b""
        if self._good_lines >= _LEAST_VALID_SHARE * self._bad_lines:
            return "utf-8"
        if is_json and self._bad_lines < _DAMAGED_SHARE * max(1, self._lines):
            return "utf-8"
        return self._older_encoding(name)

    def _judge(self, text: bytes) -> None:
        self._lines += text.count(b"\n")
        if text.isascii():
            return
        if _is_utf8(text):
            self._good_lines += 1
            return
        for found in _HIGH_LINE.finditer(text):
            line = found[0]
            if _is_utf8(line):
                self._good_lines += 1
                continue
            self._bad_lines += 1
            if len(self._sample) < _SAMPLE_BYTES:
                self._sample += line[:_SAMPLE_BYTES] + b"\n"

    def _older_encoding(self, name: str) -> str:
        guesses = chardet.detect_all(self._sample, encoding_era=_ERAS, ignore_threshold=True)
        chances = {
            codecs.lookup(guess["encoding"]).name: guess["confidence"]
            for guess in reversed(guesses)
            if guess["encoding"] is not None and _fits(self._sample, guess["encoding"])
        }
        if chances:
            best = max(chances, key=lambda codec: chances[codec])
            # A few accented letters say little, and most text that is not UTF-8 is Western European.
            return _WESTERN if chances.get(_WESTERN, 0.0) > 0.5 * chances[best] else best
        if _fits(self._sample, _WESTERN):
            return _WESTERN
        raise UnreadableSource(
            f"{name} is text in an encoding that cannot be told.",
            "Convert it to UTF-8 (`iconv -f ENCODING -t UTF-8 OLD > NEW`) and call load_dataset again.",
        )


def marked_encoding(head: bytes) -> str | None:
    """The codec that a byte-order mark, or NUL bytes in every other place, tell; None without such signs."""
    for mark, codec in _MARKS.items():
        if head.startswith(mark):
            return codec
    even, odd = head[0::2].count(0), head[1::2].count(0)
    pairs = len(head) // 2
    for codec, nuls, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        # Letters of many scripts have no NUL byte, but blanks, quotes and line ends have one.
        if nuls >= max(2, 0.02 * pairs) and nuls > 3 * others and _is_prose(head[: 2 * pairs], codec):
            return codec
    return None


def utf8_stream(file: BinaryIO, encoding: str, cr_lines: bool) -> BinaryIO:
    """The text of `file` as UTF-8 without its byte-order mark; bytes that are no text become FF.

    With `cr_lines` carriage returns become line feeds.
    """
    if encoding == "utf-8" and not cr_lines:
        buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file, _BLOCK_BYTES)  # type: ignore[type-var]
        if buffered.peek(3).startswith(codecs.BOM_UTF8):
            buffered.read(3)
        return buffered
    return io.BufferedReader(_Transcoded(file, encoding, cr_lines), _BLOCK_BYTES)


class _Transcoded(io.RawIOBase):
    def __init__(self, file: BinaryIO, encoding: str, cr_lines: bool) -> None:
        self._file = file
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        self._decoder = codecs.getincrementaldecoder(codec)(errors=_ERRORS)
        self._cr_lines = cr_lines
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            block = self._file.read(_BLOCK_BYTES)
            text = self._decoder.decode(block, final=not block)
            self._waiting = text.encode("utf-8", "surrogateescape")
            if self._cr_lines:
                self._waiting = self._waiting.replace(b"\r", b"\n")
            if not block:
                break
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_prose(sample: bytes, codec: str) -> bool:
    """Nearly all characters print, or are white space."""
    text = codecs.getincrementaldecoder(codec)(errors="replace").decode(sample)[:_CHARACTERS_TRIED]
    odd = sum(not (character.isprintable() or character.isspace()) for character in text) + text.count(
        "\ufffd"
    )
    return odd <= 0.02 * len(text)


def _fits(sample: bytes, codec: str) -> bool:
    """Whether the text is plausible in this encoding: no invalid bytes, no control characters beyond ASCII, and no
    words that mix Latin letters with those of another script, as `d\u0439j\u0430` does.
    """
    try:
        text = codecs.getincrementaldecoder(codec)().decode(sample)[:_CHARACTERS_TRIED]
    except (UnicodeDecodeError, LookupError):
        return False
    if _CONTROLS.search(text):
        return False
    words = [word for word in _ALPHABETIC.findall(text) if not word.isascii()]
    mixed = sum(bool(_LATIN.search(word)) and bool(_OTHER_SCRIPT.search(word)) for word in words)
    return mixed <= 0.1 * len(words)


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return (INVALID, error.end)


_ERRORS = "tunesmith_mark_invalid"
codecs.register_error(_ERRORS, _mark_invalid)
