"""The bar at the bottom of a terminal while a run is live, with events above it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from types import TracebackType
from typing import Self, TextIO

from rich.live import Live
from rich.text import Text

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.beats import coupons_text, end_text, figures, waiting_texts
from runner.adapters.terminal.layout import fold, pack
from runner.adapters.terminal.screens import Screen
from runner.adapters.terminal.texts import local, percent
from runner.core.codes import CodeTable
from runner.ports import Beat, Clock

_STATE_STYLES: Mapping[str, str] = {
    "issuing": "green",
    "pausing": "yellow",
    "paused": "yellow",
    "throttled": "yellow",
    "settling": "cyan",
    "finishing": "cyan",
}


class BarProgress:
    """For a terminal: a bar that stays at the bottom, events above it. It is drawn when a beat comes, never in between.

    It goes away when closed, since the summary follows; after an exception the last state stays as a plain line.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock | None = None,
        codes: CodeTable | None = None,
        zone: tzinfo | None = None,
        width: int | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._codes = codes or CodeTable.default()
        self._zone = zone
        self._screen = Screen(stream, is_terminal=True, width=width, forgive_all=True)
        self._live = Live(
            console=self._screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # data that goes to stdout must not turn up on stderr
            redirect_stderr=stream is sys.stderr,
        )
        self._last: Beat | None = None

    def __enter__(self) -> Self:
        self._live.start()
        # A process that is killed cannot bring the cursor back, so it is never hidden.
        self._screen.show_cursor(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if kind is not None and self._last is not None:
            for line in self._lines(self._last):
                self._screen.print(line, soft_wrap=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bar goes away while something else speaks to the terminal."""
        started = self._live.is_started
        self._live.stop()
        try:
            yield
        finally:
            if started:
                self._live.start()
                self._screen.show_cursor(True)

    def beat(self, beat: Beat) -> None:
        self._last = beat
        if self._live.is_started:
            self._live.update(Text("\n").join(self._lines(beat)), refresh=True)

    def say(self, message: str) -> None:
        now = local(self._clock.wall(), self._zone)
        for line in fold(message, self._screen.width, first=f"{now:%H:%M:%S}  "):
            self._screen.print(Text(line), soft_wrap=True)

    def _lines(self, beat: Beat) -> list[Text]:
        # The last cell of a line stays free: some terminals begin a new line there.
        width = self._screen.width - 1
        lines = [self._bar_line(beat, width)]
        lines += map(Text, pack(figures(beat), width, first=" " * 10))
        # A line of its own, so that the height stays the same while the numbers grow.
        lines += map(Text, fold(end_text(beat, self._clock.wall(), self._zone) or "-", width, first="ends      "))
        for index, text in enumerate(waiting_texts(beat, self._codes, self._clock.wall(), self._zone)):
            lines += map(Text, fold(text, width, first="waiting   " if index == 0 else " " * 10))
        return lines

    def _bar_line(self, beat: Beat, width: int) -> Text:
        text = Text(f"{beat.state:<9} ", style=f"bold {_STATE_STYLES.get(beat.state, '')}")
        tail = f" {percent(beat.issued, beat.target):>4}  {coupons_text(beat)}"
        room = width - text.cell_len - len(tail)
        if room >= 10:
            done, doubt, rest = _shares(beat, room)
            full, half, none = "█▒░" if (self._screen.encoding or "").startswith("utf") else "#?."
            text.append(full * done, "green").append(half * doubt, "yellow").append(none * rest, "dim")
        text.append(tail, "default")
        return text


def _shares(beat: Beat, room: int) -> tuple[int, int, int]:
    """Cells of the bar for what is issued, in doubt and missing; something in doubt shows, however little."""
    whole = max(1, beat.target)
    done = min(room, room * beat.issued // whole) if beat.target else room
    doubt = min(room - done, max(1, room * beat.in_doubt // whole) if beat.in_doubt else 0)
    return done, doubt, room - done - doubt
