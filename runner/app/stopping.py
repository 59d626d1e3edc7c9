"""What a signal means to work that must come to a clean end by itself: the first is taken note of, the next leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_signal_waits(seen: list[int], *, first: str, leaving: str) -> Iterator[None]:
    """Within, the first signal only joins `seen` and is answered; one more leaves the process at once.

    Args:
        seen: the numbers of signals that came so far.
        first: what is said, after the signal's name, when the first one comes.
        leaving: what is said after "leaving at once" when another one does.
    """

    def receive(number: int, _: object) -> None:
        if seen:
            sys.stderr.write(f"\nleaving at once: {leaving}\n")
            sys.stderr.flush()
            os._exit(128 + seen[0])
        seen.append(number)
        sys.stderr.write(f"\n{signal.Signals(number).name}: {first} (again: leave at once)\n")
        sys.stderr.flush()

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may say what a signal does
    earlier = {number: signal.getsignal(number) for number in numbers}
    earlier = {number: handler for number, handler in earlier.items() if handler not in (signal.SIG_IGN, None)}
    for number in earlier:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
