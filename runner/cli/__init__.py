"""Words → functions. The one place where an exception becomes a sentence and an exit code.

Data goes to stdout; the plan, progress and messages to stderr. The last line on stderr says why the exit code is what
it is, and the exact command to run next.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import typer

from runner.adapters.terminal.endings import command_line, last_line, next_after_an_error
from runner.cli import auditing, caring, looking, machine, running, settling, starting, steering, templates, undoing
from runner.cli.machine import learn_completion
from runner.cli.printing import print_json
from runner.cli.requests import app
from runner.cli.variables import parser_of
from runner.core.totals import FATAL
from runner.core.wording import closest
from runner.errors import CouponRunnerError

COMMANDS = (running, looking, starting, steering, machine, settling, auditing, undoing, caring, templates)
"""Modules whose import adds their commands to the program."""

_LASTING = ("--ledger", "--org", "--settings")

_USAGE_PROBLEM: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""What the parser of flags raises; it exports the errors below it only."""


def main() -> None:
    """The console script. Whatever it creates, parent folders too, is for its user only: files 0600, folders 0700."""
    os.umask(0o077)
    # Rows, orders and answers come and go by the million without cycles: the garbage collector may look less often.
    gc.set_threshold(50_000, 20, 20)
    raise SystemExit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; every error ends as a sentence on stderr and an exit code."""
    sys.stdout = sys.stdout or _nowhere()  # None where it was closed before we began
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a Windows console without UTF-8 must not end a run
    words = list(arguments)
    learn_completion()
    known = {info.name for info in app.registered_commands}
    command = next((word for word in words if word in known), "")
    try:
        with _interruptible():
            result = parser_of(app)(words, prog_name="coupon-runner", standalone_mode=False)
        code = int(result) if isinstance(result, int) else 0
        lost = _lost_output()
        if lost is None or isinstance(lost, BrokenPipeError):  # who reads no further knows what was said
            return code
        return _say(code or FATAL, _not_printed(lost), command, words, "runs")
    except _Interrupted as stopped:
        return _interrupted(stopped.number, command, words)
    except CouponRunnerError as error:
        following, when = _at_the_same_ledger(error.next_command, words), error.again or ""
        if error.add_flags or error.again:
            following = command_line(*words, *error.add_flags)
        return _say(error.exit_code, error.message, command, words, following, when=when, details=error.details)
    except _USAGE_PROBLEM as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        if not words:
            sys.stderr.write(message + "\n")
            return 2
        return _say(2, _with_suggestion(error, message, words, known), command, words, None)
    except typer.Exit as error:
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted(signal.SIGINT, command, words)
    except BrokenPipeError:
        _lost_output()
        return 141
    except Exception as error:  # noqa: BLE001 - a fault of ours must not end with 1, which says that some rows need a person
        lost = _lost_output()
        if lost is not None:
            return _say(FATAL, _not_printed(lost), command, [], "runs")
        return _say(FATAL, _fault(error, verbose=_is_verbose(words)), command, words, "coupon-runner runs")


def _at_the_same_ledger(next_command: str | None, words: Sequence[str]) -> str | None:
    """A command that an error suggests, with the flags of this one by which it meets the same ledger and org."""
    if next_command is None or "…" in next_command:
        return next_command
    given: list[str] = []
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in _LASTING and flag not in next_command:
            given += [flag, value if equals else next(iter(words[number + 1 :]), "")]
    return next_command + command_line(*given).removeprefix(command_line())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _lost_output() -> OSError | None:
    """Why what was printed cannot be written out, if so; then nothing is tried again, at the end either."""
    try:
        sys.stdout.flush()
    except ValueError:  # closed
        return None
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _not_printed(error: OSError) -> str:
    return f"what was to be printed could not be written to stdout ({error.strerror}); the ledger holds what was done"


def _with_suggestion(error: Exception, message: str, words: Sequence[str], commands: Iterable[str | None]) -> str:
    """What the parser of flags says of an unknown word, and what was probably meant, where something is close."""
    possible = getattr(error, "possibilities", None)
    if possible is not None:
        given = str(getattr(error, "option_name", ""))
        meant = closest(given.lstrip("-"), [one.lstrip("-") for one in possible])
        return str(getattr(error, "message", message)).rstrip(".") + (f" (did you mean --{meant}?)" if meant else "")
    if message.startswith("No such command"):
        given = next((word for word in words if not word.startswith("-")), "")
        meant = closest(given, [one for one in commands if one])
        return message.rstrip(".") + (f" (did you mean {meant}?)" if meant else "")
    return message


class _Interrupted(BaseException):
    """A signal while no run was live. No `KeyboardInterrupt`, of which the parser of flags makes an exit in silence."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _interruptible() -> Iterator[None]:
    """Signals end a command as its errors do: locks are given back, and a last line says why. A live run has its own.

    Only the main thread may say what a signal does; a signal that is ignored for us (nohup) stays ignored.
    """

    def receive(number: int, _: object) -> None:
        raise _Interrupted(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names if hasattr(signal, name)}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(number: int, command: str, words: Sequence[str]) -> int:
    why = "no run was live any more or yet; what was sent, if anything, is in the ledger"
    return _say(128 + number, why, command, words, "runs")


def _is_verbose(words: Sequence[str]) -> bool:
    given = "--verbose" in words or any(re.fullmatch(r"-[a-z]*v[a-z]*", word) for word in words)
    return given or os.environ.get("COUPON_RUNNER_VERBOSE", "0") not in ("", "0")


def _fault(error: Exception, *, verbose: bool) -> str:
    """Where the program failed, without the exception's own text, which may hold a customer's name."""
    frames = traceback.extract_tb(error.__traceback__)
    if verbose:
        sys.stderr.write("".join(traceback.format_list(frames)))
    place = f" at {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    more = "" if verbose else "; COUPON_RUNNER_VERBOSE=1 says more"
    return (
        f"The program failed{place} ({type(error).__name__}{more}). This is a fault of the program: please report it."
        " What was sent until then is recorded in the ledger."
    )


def _wants_json(words: Sequence[str]) -> bool:
    flags = words[: words.index("--")] if "--" in words else words
    return "--json" in flags or os.environ.get("COUPON_RUNNER_JSON", "").lower() in ("1", "true", "t", "yes", "y", "on")


def _say(
    code: int,
    message: str,
    command: str,
    words: Sequence[str],
    next_command: str | None,
    *,
    when: str = "",
    details: Mapping[str, object] | None = None,
) -> int:
    lines = message.splitlines()
    if len(lines) > 1:
        sys.stderr.write(message.rstrip() + "\n")
    following = (
        f"coupon-runner {next_command}"
        if next_command and not next_command.startswith("coupon-runner")
        else next_command
    )
    this_command = command_line(*words)
    if _wants_json(words):
        after = following or next_after_an_error(code, command=command, this_command=this_command)
        print_json({**(details or {}), "error": message.strip(), "exit_code": code, "next": after or None})
    line = last_line(
        code, why=message, command=command, this_command=this_command, next_command=following, next_when=when
    )
    sys.stderr.write(line + "\n")
    return code
