"""Data on stdout: one JSON document for programs, or text for people."""

from __future__ import annotations

import sys

import orjson


def print_json(document: object, *, one_line: bool = False) -> None:
    """One JSON document; `one_line` for a reader that takes lines from a command which goes on."""
    option = 0 if one_line else orjson.OPT_INDENT_2
    sys.stdout.write(orjson.dumps(document, option=option, default=str).decode() + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Lines of text as they are, made safe for the screen."""
    from runner.adapters.terminal.screens import put_all, screen_for

    put_all(screen_for(sys.stdout), text.splitlines())
