"""What a list comes in: as it is, compressed with gzip, alone in a zip archive, or through standard input."""

from __future__ import annotations

import gzip
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from runner.adapters.sources import BLOCK_BYTES, BROKEN_ARCHIVE, FileSource, Source, SpooledSource, blocks_of, cut_off
from runner.core.input_limits import InputLimits
from runner.errors import InputRefused, UsageError

STDIN = Path("-")
"""The name that stands for standard input."""

ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_OTHER_ARCHIVES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PK\x07\x08", "a zip archive in several parts"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
)
_LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_SHOWN = 5

_UNPACK = "Unpack it, and give the list itself: a workbook, a CSV file, or one of them in a zip or gz file."


def open_source(path: Path, limits: InputLimits, notes: list[str]) -> Source:
    """The bytes of the list in a file, unpacked where it is packed. `notes`: what a person has to know of that.

    Raises:
        UsageError: there is no such file, or it may not be read. InputRefused: an archive that is damaged, protected,
            too large, or does not hold exactly one file.
    """
    source: Source = _standard_input(limits) if path == STDIN else FileSource(path)
    unpacked = _unpacked(source, limits, notes)
    if unpacked is source:
        return source
    inner = _packed_as(unpacked)
    if inner is not None:
        raise InputRefused(f"{source.name} holds an archive inside an archive ({inner}). {_UNPACK}")
    return unpacked


def is_workbook(names: list[str]) -> bool:
    """Whether a zip archive with these parts is a workbook rather than an archive with files in it."""
    return "[Content_Types].xml" in names or ("mimetype" in names and "content.xml" in names)


def _standard_input(limits: InputLimits) -> Source:
    stream = sys.stdin
    if stream is None or stream.isatty():
        raise UsageError(
            "- reads the list from standard input, but nothing is piped into it. For example: cat list.csv | "
            "coupon-runner plan - --campaign NAME"
        )
    return SpooledSource("standard input", blocks_of(stream.buffer), limits)


def _unpacked(source: Source, limits: InputLimits, notes: list[str]) -> Source:
    with source.reading() as stream:
        head = stream.read(8)
        stream.seek(0)
        if head.startswith(_GZIP):
            return SpooledSource(source.name, _gunzipped(source.name, stream), limits)
        if head.startswith(ZIP):
            return _out_of_zip(source, stream, limits, notes)
        for start, what in _OTHER_ARCHIVES:
            if head.startswith(start):
                raise InputRefused(f"{source.name} is {what}, which is not read. {_UNPACK}")
    return source


def _gunzipped(name: str, stream: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
            while block := unpacked.read(BLOCK_BYTES):
                yield block
    except EOFError as error:
        raise cut_off(name, "a gzip file") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputRefused(
            f"{name} is compressed with gzip but damaged ({error}). Copy or download it again, or export it again."
        ) from error


def _out_of_zip(source: Source, stream: IO[bytes], limits: InputLimits, notes: list[str]) -> Source:
    name = source.name
    try:
        archive = zipfile.ZipFile(stream)
    except BROKEN_ARCHIVE:
        return source  # a workbook, or an archive: whoever reads it says what is wrong
    with archive:
        infos = archive.infolist()
        if is_workbook([info.filename for info in infos]):
            return source
        files = [info for info in infos if not _is_litter(info)]
        if len(files) != 1:
            raise InputRefused(f"{name} is a zip archive {_contents(files)} {_UNPACK}")
        only = files[0]
        if only.flag_bits & 1:
            raise InputRefused(
                f"{name} is a zip archive that is protected by a password. Unpack it, or pack it without one."
            )
        notes.append(f"{name} is a zip archive: read is {only.filename}, the only file in it")
        return SpooledSource(name, _unzipped(name, archive, only), limits)


def _contents(files: list[zipfile.ZipInfo]) -> str:
    """What is wrong with an archive that does not hold one file, as the end of a sentence."""
    if not files:
        return "without a file in it."
    names = ", ".join(info.filename for info in files[:_SHOWN])
    more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    return f"of {len(files):,} files ({names}{more}), so it is not certain which is the list."


def _unzipped(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(info) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except NotImplementedError as error:
        raise InputRefused(f"{name} is a zip archive that is packed in a way that is not read. {_UNPACK}") from error
    except BROKEN_ARCHIVE as error:
        raise InputRefused(
            f"{name} is a zip archive but damaged: {info.filename} cannot be unpacked. Copy or download it again, or "
            "export it again."
        ) from error


def _is_litter(info: zipfile.ZipInfo) -> bool:
    """What file managers add to an archive, and folders."""
    place = PurePosixPath(info.filename)
    return info.is_dir() or "__MACOSX" in place.parts or place.name.lower() in _LITTER


def _packed_as(source: Source) -> str | None:
    """How the bytes of a source are packed, in words; None when they are no archive, but perhaps a workbook."""
    with source.reading() as stream:
        head = stream.read(8)
        if head.startswith(_GZIP):
            return "gzip"
        for start, what in _OTHER_ARCHIVES:
            if head.startswith(start):
                return what.removeprefix("compressed with ")
        if head.startswith(ZIP):
            stream.seek(0)
            try:
                with zipfile.ZipFile(stream) as archive:
                    return None if is_workbook(archive.namelist()) else "zip"
            except BROKEN_ARCHIVE:
                return None
        stream.seek(257)
        return "tar" if stream.read(5) == b"ustar" else None
