"""Files that appear all together or not at all: written under temporary names, synced, and renamed at the end.

Owns how a table becomes CSV and how bytes reach the disk; knows nothing of what the files say. Files are 0600, because
reports hold identifiers and codes.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from runner.core.reporting import Cell


class CsvTable:
    """One CSV file being written: UTF-8 with BOM, CRLF, quotes only where they are needed."""

    def __init__(self, file: PartFile) -> None:
        self._file = file
        file.write(b"\xef\xbb\xbf")

    def write(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Add rows. A row is joined as it is when nothing in it needs quotes: four times as fast as the csv module."""
        written = []
        for row in rows:
            line = ",".join(map(str, row))
            if '"' in line or "\n" in line or "\r" in line or line.count(",") != len(row) - 1 or not line:
                line = self._quoted(row)
            written.append(line)
        if written:
            written.append("")
            # A lone surrogate, which only an API message could carry, must not end the report: it is written out.
            self._file.write("\r\n".join(written).encode("utf-8", "backslashreplace"))

    def _quoted(self, row: Sequence[Cell]) -> str:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL).writerow(row)
        return buffer.getvalue().removesuffix("\r\n")


class PartFile:
    """A file under its temporary name, with the size and digest of what was written so far."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self.temporary = folder / f".{name}.part"
        self.size = 0
        self.digest = hashlib.sha256()
        # A part left behind by a killed process is overwritten, rights included.
        self.temporary.unlink(missing_ok=True)
        self._stream = os.fdopen(os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb")

    def write(self, content: bytes) -> int:
        self._stream.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def flush(self) -> None:
        self._stream.flush()

    def sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def discard(self) -> None:
        try:
            self._stream.close()
        except OSError:
            pass  # what could not be flushed is thrown away with the file
        self.temporary.unlink(missing_ok=True)


class FileSet:
    """The files of one report: all of them appear, or none is touched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[PartFile] = []
        self._scratch: list[Path] = []
        self._retired: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.discard()
        for path in self._scratch:
            path.unlink(missing_ok=True)

    def open_table(self, name: str) -> CsvTable:
        return CsvTable(self._open(name))

    def open_stream(self, name: str) -> PartFile:
        """A file of bytes, which takes `write` and `flush` and cannot go back."""
        return self._open(name)

    def scratch(self, name: str) -> Path:
        """An empty private file for what waits to be written elsewhere; gone at the end, whatever happens."""
        path = self._folder / f".{name}.part"
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self._scratch.append(path)
        return path

    def retire(self, name: str) -> None:
        """A file of an earlier report that this one does not have: it goes when the new ones appear."""
        self._retired.append(self._folder / name)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        self._open(name).write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace"))

    def sizes_and_digests(self) -> dict[str, dict[str, int | str]]:
        return {file.path.name: {"size": file.size, "sha256": file.digest.hexdigest()} for file in self._files}

    def publish(self) -> tuple[Path, ...]:
        """Sync everything, then rename in the order of opening: whoever sees the new manifest sees the new files."""
        for file in self._files:
            file.sync()
        for file in self._files:
            file.temporary.replace(file.path)
        for path in self._retired:
            path.unlink(missing_ok=True)
        _sync_folder(self._folder)
        return tuple(file.path for file in self._files)

    def _open(self, name: str) -> PartFile:
        file = PartFile(self._folder, name)
        self._files.append(file)
        return file


FULL_DISK = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows would otherwise turn each CRLF into CR CR LF."""


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder; its renames need no such step
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
