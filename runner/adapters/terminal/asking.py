"""Questions to the person at the terminal. Silence is never consent: no answer means no."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from runner.adapters.terminal.texts import clean, one_line
from runner.errors import UsageError

ATTEMPTS = 3
"""How often an answer that cannot be understood is asked for again."""

_YES = frozenset({"y", "yes"})
_NO = frozenset({"", "n", "no"})


def is_terminal(stream_in: TextIO | None = None, stream_out: TextIO | None = None) -> bool:
    """Whether somebody can be asked: input (default stdin) and messages (default stderr) are both a terminal."""
    for stream in (sys.stdin if stream_in is None else stream_in, sys.stderr if stream_out is None else stream_out):
        try:
            # A process without a console (a service on Windows) has None for its streams.
            if stream is None or not stream.isatty():
                return False
        except ValueError:  # closed
            return False
    return True


def confirm(question: str, *, stream_in: TextIO | None = None, stream_out: TextIO | None = None) -> bool:
    """Ask for a yes or no. Enter, the end of the input and anything that is neither three times over mean no."""
    for _ in range(ATTEMPTS):
        answer = _answer(f"{question} [y/N] ", stream_in, stream_out)
        if answer is None or answer.casefold() in _NO:
            return False
        if answer.casefold() in _YES:
            return True
        _write("Please answer y or n.\n", stream_out)
    return False


def ask(
    question: str, suggestion: str = "", *, stream_in: TextIO | None = None, stream_out: TextIO | None = None
) -> str:
    """Ask for a text; Enter takes the suggestion. Raises `UsageError` when no answer comes."""
    for _ in range(ATTEMPTS):
        answer = _answer(f"{question} [{suggestion}] " if suggestion else f"{question} ", stream_in, stream_out)
        if answer is None:
            break
        if answer or suggestion:
            return answer or suggestion
    raise UsageError(f"No answer was given to the question: {one_line(question)}")


def choose(
    question: str,
    choices: Mapping[str, str],
    *,
    default: str,
    stream_in: TextIO | None = None,
    stream_out: TextIO | None = None,
) -> str:
    """Ask for one of `choices` (word → what it does); its first letters will do. No answer means `default`."""
    lines = [question, *(f"  {word:<{max(map(len, choices))}}  {meaning}" for word, meaning in choices.items())]
    _write("".join(f"{clean(line)}\n" for line in lines), stream_out)
    for _ in range(ATTEMPTS):
        answer = _answer(f"{', '.join(choices)} [{default}] ", stream_in, stream_out)
        if not answer:
            return default
        fits = [word for word in choices if word.startswith(answer.casefold())]
        if len(fits) == 1:
            return fits[0]
        _write(f"Please answer with one of {', '.join(choices)}.\n", stream_out)
    return default


def _answer(prompt: str, stream_in: TextIO | None, stream_out: TextIO | None) -> str | None:
    """One line of input, trimmed; None at its end."""
    _write(clean(prompt), stream_out)
    stream = sys.stdin if stream_in is None else stream_in
    line = stream.readline()
    if not line:
        _write("\n", stream_out)
        return None
    return line.strip()


def _write(text: str, stream: TextIO | None) -> None:
    stream = sys.stderr if stream is None else stream
    stream.write(text)
    stream.flush()
