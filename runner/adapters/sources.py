"""Where the bytes of a table are, and whether they stay the same: a file on disk, or what was unpacked out of one."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import struct
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from runner.core.input_limits import InputLimits
from runner.errors import CouponRunnerError, InputRefused, UsageError

BLOCK_BYTES = 1024 * 1024

BROKEN_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, KeyError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What `zipfile` raises at one damage or another, and at ways of packing that it does not know."""


class Source(Protocol):
    """The bytes of one file, as often as wanted. `name`: as messages call it, without folder."""

    @property
    def name(self) -> str:
        """As messages call it."""
        ...

    def reading(self) -> AbstractContextManager[IO[bytes]]:
        """The bytes from their beginning, as a context.

        Raises InputRefused when they are no longer those that were opened first.
        """
        ...


class FileSource:
    """A file on disk. Raises UsageError when there is none, it is a folder, or it may not be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        try:
            if path.is_dir():
                raise UsageError(f"{path} is a folder. Name the file in it.")
            if path.is_fifo():
                raise UsageError(
                    f"{path} is a pipe, which can be read only once. Give - instead, and pipe it in: - < {path}"
                )
            with path.open("rb") as stream:
                self._stamp = _stamp_of(stream.fileno())
        except OSError as error:
            raise unreadable(path, error) from error

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """As `Source`."""
        try:
            with self._path.open("rb") as stream:
                self._check(stream)
                yield stream
                self._check(stream)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _check(self, stream: IO[bytes]) -> None:
        if _stamp_of(stream.fileno()) != self._stamp:
            raise changed(self.name)


class SpooledSource:
    """Bytes that were unpacked, or came through a pipe: in a nameless temporary file, which goes with the process."""

    def __init__(self, name: str, blocks: Iterator[bytes], limits: InputLimits) -> None:
        self.name = name
        size = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - read until nobody knows it any more
        try:
            for block in blocks:
                size += len(block)
                if size > limits.unpacked:
                    raise InputRefused(limits.too_large(name))
                self._file.write(block)
            self._file.flush()
        except OSError as error:
            self._file.close()
            raise UsageError(
                f"{name} cannot be unpacked into {tempfile.gettempdir()}: {error.strerror or type(error).__name__}. "
                "Make room there, or name another folder in the variable TMPDIR."
            ) from error
        except BaseException:
            self._file.close()
            raise
        self._size = size
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """As `Source`."""
        yield io.BufferedReader(_View(self._file, self._size, self._lock), 256 * 1024)


class _View(io.RawIOBase):
    """One reader of a file that several read at once, each at its own place."""

    def __init__(self, file: IO[bytes], size: int, lock: threading.Lock) -> None:
        self._file = file
        self._size = size
        self._lock = lock
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, os.strerror(22))
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with self._lock:
            self._file.seek(self._at)
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def unreadable(file: Path, error: OSError) -> CouponRunnerError:
    """What the operating system says of a file, as a sentence."""
    if isinstance(error, FileNotFoundError):
        return UsageError(f"There is no file {file}. Check the path; relative ones start at the current folder.")
    if isinstance(error, PermissionError):
        return UsageError(f"{file} may not be read by this user. Change its permissions, or close it in Excel.")
    return UsageError(
        f"{file} cannot be read: {error.strerror or type(error).__name__}. Check the disk or the network."
    )


def changed(name: str) -> InputRefused:
    """The sentence for a file that somebody writes while it is read."""
    return InputRefused(
        f"{name} changed while it was being read: another program may still be writing it. Start again when it is done."
    )


def cut_off(name: str, what: str) -> InputRefused:
    """The sentence for an archive or a workbook whose end is missing."""
    return InputRefused(
        f"{name} begins like {what} but is no complete archive: its end is missing. It is still being written, "
        "uploaded or downloaded, or was broken off. Start again when it is complete, or export it again."
    )


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a stream."""
    while block := stream.read(BLOCK_BYTES):
        yield block


def digest_of(source: Source) -> str:
    """The sha256 of all bytes, hexadecimal."""
    digest = hashlib.sha256()
    with source.reading() as stream:
        for block in blocks_of(stream):
            digest.update(block)
    return digest.hexdigest()


def _stamp_of(descriptor: int) -> tuple[int, int, int]:
    """What changes when a file is written: its inode, size in bytes and time of change."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns
