"""The console that everything is printed through: plain text with a style, and no harm when the reader goes away."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from runner.adapters.terminal.layout import Tabulated, fold
from runner.adapters.terminal.texts import clean

_READER_GONE = frozenset({errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF})
"""A closed pipe, a terminal that hung up or was closed."""


class SafeStream:
    """A text stream that goes silent when its reader is gone, and writes signs that its encoding lacks as escapes.

    Rich's own answer to a closed pipe is to exit with code 1, which here means "some rows need a person".
    `forgive_all`: every failure is forgiven, a full disk too; otherwise only that nobody reads any more.
    """

    def __init__(self, stream: TextIO, *, forgive_all: bool = False) -> None:
        self._stream = stream
        self._forgive_all = forgive_all
        self._gone = False

    def write(self, text: str) -> int:
        """Write, or do as if. Raises OSError for a failure that is not forgiven."""
        if not self._gone:
            encoding = self._stream.encoding or "utf-8"
            try:
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or do as if. Raises OSError for a failure that is not forgiven."""
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        """Write nowhere from now on, so that not even the flush at exit complains; ValueError: the stream is closed."""
        if isinstance(error, OSError) and error.errno not in _READER_GONE:
            if not self._forgive_all:
                raise error
            return  # a full disk may have room again for the last line
        self._gone = True
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass  # a stream without a file behind it has nothing to redirect


class Screen(Console):
    """A rich console that takes text literally, on a `SafeStream`."""

    def __init__(
        self,
        stream: TextIO,
        *,
        is_terminal: bool | None = None,
        width: int | None = None,
        forgive_all: bool = False,
    ) -> None:
        safe = cast(TextIO, SafeStream(stream, forgive_all=forgive_all))
        super().__init__(file=safe, force_terminal=is_terminal, width=width, markup=False, emoji=False, highlight=False)


def screen_for(stream: TextIO | None = None, *, is_terminal: bool | None = None, width: int | None = None) -> Screen:
    """A screen on a stream (default stdout). Without a terminal: no colour, 80 wide unless COLUMNS says otherwise."""
    return Screen(sys.stdout if stream is None else stream, is_terminal=is_terminal, width=width)


def width_of(stream: TextIO) -> int | None:
    """The width of the terminal behind a stream; None for a pipe or a file, where each row is to stay one line."""
    try:
        if not stream.isatty():
            return None
    except ValueError:  # closed
        return None
    return Console(file=stream).width


def put(console: Console, text: str = "", style: str = "") -> None:
    """One line as it is: not folded, not cut, and no markup or control character in it has any effect."""
    console.print(Text(clean(text), style=style), soft_wrap=True, highlight=False)


def put_all(console: Console, lines: Iterable[str], style: str = "") -> None:
    """Several such lines."""
    for line in lines:
        put(console, line, style)


def put_folded(console: Console, text: str, *, first: str = "", then: str | None = None, style: str = "") -> None:
    """A sentence, folded at the console's width."""
    put_all(console, fold(text, console.width, first=first, then=then), style)


def put_table(console: Console, table: Tabulated) -> None:
    """An aligned table with its heading."""
    if table.lines:
        put(console, table.heading, "bold")
        put_all(console, table.lines)
