"""Text out of bytes: which encoding they are in, checked to their last one before any is used, and never replaced."""

from __future__ import annotations

import codecs
import hashlib
import re
from typing import IO, NamedTuple

from runner.adapters.sources import BLOCK_BYTES, Source
from runner.core.text_encoding import WESTERN, Guess, certain_of, is_damaged_utf8, is_western, label_of
from runner.errors import InputRefused

SAVE_AS_CSV = "In Excel choose File > Save As > CSV UTF-8 and give that file."

_SAMPLE_BYTES = 64 * 1024
_HIGH = re.compile(rb"[\x80-\xff]")

_MARKS: tuple[tuple[bytes, str, str, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8", "UTF-8 with BOM"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be", "UTF-16"),
)


class TextEncoding(NamedTuple):
    """How a file is read. `codec`: for reading it. `label`: as people call it. `sha256`: of all its bytes.

    `assumed`: what a person has to know of it, "" when the file itself says what it is.
    """

    codec: str
    label: str
    sha256: str
    assumed: str


class _Bad(NamedTuple):
    """Where decoding stops: an offset, and whether it is a NUL that was found there."""

    offset: int
    nul: bool
    cut: bool


def find_encoding(source: Source, told: str | None) -> TextEncoding:
    """The encoding of a text file. `told`: the one that a person named; a byte order mark knows better.

    Raises:
        InputRefused: it cannot be decoded to its end, or which encoding it is in is not certain.
    """
    with source.reading() as stream:
        head = stream.read(_SAMPLE_BYTES)
    for mark, codec, exact, label in _MARKS:
        if head.startswith(mark):
            return _whole(source, codec, exact, label, "")
    if told is not None:
        return _whole(source, told, told, label_of(told), f"read as {label_of(told)}, as --encoding says")
    if (wide := _wide_without_mark(head)) is not None:
        label = "UTF-16 without a byte order mark"
        return _whole(source, wide, wide, label, f"read as {label}, since every other byte of it is empty")
    sha256, bad = _decode(source, "utf-8")
    if bad is None:
        return TextEncoding("utf-8-sig", "UTF-8", sha256, "")
    if bad.nul or bad.cut:
        raise _refused(source, "utf-8", "UTF-8", bad)
    sample = _sample_of(source)
    found = _guess(sample)
    if found is None:
        raise _refused(source, "utf-8", "UTF-8", bad, damaged=is_damaged_utf8(sample))
    where = _place(source, found, bad.offset)
    return _whole(
        source,
        found,
        found,
        label_of(found),
        f"not UTF-8 (first in {where}), so it is read as {label_of(found)}; if names look wrong in the reports, "
        "save it as CSV UTF-8, or say what it is with --encoding",
    )


def _whole(source: Source, codec: str, exact: str, label: str, assumed: str) -> TextEncoding:
    sha256, bad = _decode(source, exact)
    if bad is not None:
        raise _refused(source, exact, label, bad)
    return TextEncoding(codec, label, sha256, assumed)


def _decode(source: Source, codec: str) -> tuple[str, _Bad | None]:
    """The sha256 of all bytes, and the first place that cannot be read, if there is one."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder(codec)(errors="strict")
    wide = codec.startswith(("utf-16", "utf-32"))
    offset, bad = 0, None
    with source.reading() as stream:
        while True:
            block = stream.read(BLOCK_BYTES)
            digest.update(block)
            undecided = len(decoder.getstate()[0])
            if bad is None:
                nul = -1 if wide else block.find(b"\0")
                try:
                    text = decoder.decode(block if nul < 0 else block[:nul], final=not block)
                    if wide and (at := text.find("\0")) >= 0:
                        bad = _Bad(offset - undecided + len(text[:at].encode(codec)), nul=True, cut=False)
                    elif nul >= 0:
                        bad = _Bad(offset + nul, nul=True, cut=False)
                except UnicodeDecodeError as error:
                    bad = _Bad(offset - undecided + error.start, nul=False, cut=not block)
                except UnicodeError:  # codecs of Asia that say no more than that
                    bad = _Bad(offset, nul=False, cut=not block)
            if not block:
                return digest.hexdigest(), bad
            offset += len(block)


def _refused(source: Source, codec: str, label: str, bad: _Bad, *, damaged: bool = False) -> InputRefused:
    where = _place(source, codec, bad.offset)
    if bad.nul:
        return InputRefused(
            f"{source.name} holds a NUL byte in {where}: it is no text file, or was damaged. Export it again as CSV "
            "UTF-8."
        )
    if label != "UTF-8":
        return InputRefused(
            f"{source.name} is not {label} text: {where} cannot be read. Nothing is replaced, since that changes what "
            f"is read. {SAVE_AS_CSV}"
        )
    if damaged or bad.cut:
        return InputRefused(
            f"{source.name} is UTF-8 text but damaged: {where} cannot be read. It was cut, or put together from files "
            f"in different encodings. {SAVE_AS_CSV}"
        )
    return InputRefused(
        f"{source.name} is not UTF-8 text: {where} cannot be read, and which other encoding it is in is not certain. "
        f"It is not guessed, since a wrong guess changes what is read. {SAVE_AS_CSV} Or say what it is, for example "
        "--encoding windows-1250."
    )


def _place(source: Source, codec: str, offset: int) -> str:
    """Line, and byte or character in the line (both from 1), of a byte of the file, as words."""
    with source.reading() as stream:
        if not codec.startswith(("utf-16", "utf-32")):
            return _position(stream, offset)
        decoder = codecs.getincrementaldecoder(codec)(errors="ignore")
        text = decoder.decode(stream.read(offset)).removeprefix("\ufeff")
    lines = text.count("\n") + text.count("\r") - text.count("\r\n")
    start = 1 + max(text.rfind("\n"), text.rfind("\r"))
    return f"line {lines + 1}, character {len(text) - start + 1} of the line"


def _position(stream: IO[bytes], offset: int) -> str:
    lines, line_start, done, last = 1, 0, 0, b""
    while done < offset:
        block = stream.read(min(BLOCK_BYTES, offset - done))
        breaks = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
        if last == b"\r" and block[:1] == b"\n":
            breaks -= 1  # one line end on the border of two blocks
        lines += breaks
        line_start = max(line_start, done + 1 + max(block.rfind(b"\n"), block.rfind(b"\r")))
        last = block[-1:]
        done += len(block)
    return f"line {lines}, byte {offset - line_start + 1} of the line"


def _wide_without_mark(head: bytes) -> str | None:
    """UTF-16 without its mark: one of each pair of bytes is empty, in a text that is mostly ASCII."""
    pairs = len(head) // 2
    low, high = head[0 : 2 * pairs : 2], head[1 : 2 * pairs : 2]
    for codec, filled, empty in (("utf-16-le", low, high), ("utf-16-be", high, low)):
        if pairs >= 4 and b"\0" not in filled and 10 * empty.count(0) >= 8 * pairs:
            return codec
    return None


def _sample_of(source: Source) -> bytes:
    """The first lines with bytes above ASCII, whole."""
    lines: list[bytes] = []
    size = 0
    with source.reading() as stream:
        while size < _SAMPLE_BYTES and (line := stream.readline(BLOCK_BYTES)):
            if _HIGH.search(line):
                lines.append(line)
                size += len(line)
    return b"".join(lines)


def _guess(sample: bytes) -> str | None:
    if is_damaged_utf8(sample):
        return None
    if is_western(sample):
        return WESTERN
    from charset_normalizer import from_bytes

    found = from_bytes(sample, preemptive_behaviour=False)
    guesses = [Guess(one.encoding, one.chaos, one.coherence, str(one)) for one in found]
    return certain_of(sample, guesses)
