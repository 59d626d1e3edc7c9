"""Whoever watches a run on this machine's terminal: a bar, plain lines, one JSON object a line, or nobody.

A display never disturbs what it shows: when the terminal is gone or the pipe closed, it goes silent and the run goes
on. Everything is written from the caller's own thread, so lines never mix.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from datetime import tzinfo
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from runner.adapters.clock import SystemClock
from runner.adapters.terminal.bar import BarProgress
from runner.adapters.terminal.beats import coupons_text, end_text, figures, waiting_texts
from runner.adapters.terminal.screens import SafeStream
from runner.adapters.terminal.texts import one_line, percent, stamp, utc
from runner.core.codes import CodeTable
from runner.ports import Beat, Clock, Progress

ProgressMode = Literal["auto", "bar", "plain", "json", "none"]

FIRST_LINE_SECONDS = 2.0
"""A plain display speaks for the first time after this long: soon enough to see that it works."""


class ProgressDisplay(Progress, Protocol):
    """A `Progress` that is closed after use; closing leaves the terminal clean, also after an exception."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoProgress:
    """Nobody watches."""

    def beat(self, beat: Beat) -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Lines(ABC):
    """What plain and JSON lines share: a line every so often, one for each event, the last state at the end."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock | None = None,
        interval_seconds: float,
        first_seconds: float = FIRST_LINE_SECONDS,
    ) -> None:
        self._stream = SafeStream(stream, forgive_all=True)
        self._clock = clock or SystemClock()
        self._interval_seconds = interval_seconds
        self._next = self._clock.now() + min(first_seconds, interval_seconds)
        self._unseen: Beat | None = None

    def beat(self, beat: Beat) -> None:
        self._unseen = beat
        if self._clock.now() >= self._next:
            self._next = self._clock.now() + self._interval_seconds
            self._show(beat)

    def say(self, message: str) -> None:
        self._write(self._event_line(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unseen is not None:
            self._show(self._unseen)

    def _show(self, beat: Beat) -> None:
        self._unseen = None
        self._write(self._beat_line(beat))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    @abstractmethod
    def _beat_line(self, beat: Beat) -> str:
        """The run's state as one line."""

    @abstractmethod
    def _event_line(self, message: str) -> str:
        """An event as one line."""


class PlainProgress(_Lines):
    """For logs and pipes: a line with a local time at most every `interval_seconds`, and one for each event."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock | None = None,
        interval_seconds: float = 30.0,
        codes: CodeTable | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__(stream, clock=clock, interval_seconds=interval_seconds)
        self._codes = codes or CodeTable.default()
        self._zone = zone

    def _beat_line(self, beat: Beat) -> str:
        now = self._clock.wall()
        head = f"{beat.state}: {coupons_text(beat)} ({percent(beat.issued, beat.target)})"
        end = end_text(beat, now, self._zone)
        parts = [head, *figures(beat), *([f"ends {end}"] if end else [])]
        waiting = waiting_texts(beat, self._codes, now, self._zone)
        return f"{stamp(now, self._zone)}  {', '.join(parts)}" + (f"; waiting: {'; '.join(waiting)}" if waiting else "")

    def _event_line(self, message: str) -> str:
        return f"{stamp(self._clock.wall(), self._zone)}  {one_line(message)}"


class JsonProgress(_Lines):
    """For programs: one JSON object a line, `type` progress or message, `time` in UTC; ASCII, whatever the encoding."""

    def __init__(self, stream: TextIO, *, clock: Clock | None = None, interval_seconds: float = 1.0) -> None:
        super().__init__(stream, clock=clock, interval_seconds=interval_seconds, first_seconds=0.0)

    def _beat_line(self, beat: Beat) -> str:
        return json.dumps(
            {
                "type": "progress",
                "time": utc(self._clock.wall()),
                "state": beat.state,
                "target": beat.target,
                "issued": beat.issued,
                "in_doubt": beat.in_doubt,
                "missing": beat.missing,
                "failed_orders": beat.failed_orders,
                "calls": beat.calls,
                "calls_per_second": round(beat.calls_per_second, 3),
                "in_flight": beat.in_flight,
                "eta_seconds": None if beat.eta_seconds is None else round(beat.eta_seconds, 1),
                "decided_by": beat.decided_by,
                "paused_by": beat.paused_by,
                "paused_since": None if beat.paused_since is None else utc(beat.paused_since),
                "waiting": [
                    {
                        "series": one.series,
                        "code": one.code,
                        "since": None if one.since is None else utc(one.since),
                        "gives_up": None if one.until is None else utc(one.until),
                    }
                    for one in beat.waiting
                ],
            }
        )

    def _event_line(self, message: str) -> str:
        return json.dumps({"type": "message", "time": utc(self._clock.wall()), "message": message})


def progress_for(
    mode: ProgressMode,
    *,
    stream: TextIO,
    is_terminal: bool,
    clock: Clock | None = None,
    codes: CodeTable | None = None,
    interval_seconds: float = 30.0,
) -> ProgressDisplay:
    """The display for a mode. `auto`: a bar on a terminal that can move its cursor, else plain lines.

    A bar asked for where there is no terminal becomes plain lines too: a file full of cursor movements helps nobody.
    """
    if mode == "none":
        return NoProgress()
    if mode == "json":
        return JsonProgress(stream, clock=clock)
    if mode != "plain" and is_terminal and os.environ.get("TERM", "") not in ("dumb", "unknown"):
        return BarProgress(stream, clock=clock, codes=codes)
    return PlainProgress(stream, clock=clock, interval_seconds=interval_seconds, codes=codes)
