"""Questions at the terminal: silence is never consent."""

from __future__ import annotations

import io
from typing import Any

import pytest

from runner.adapters.terminal.asking import ask, choose, confirm, is_terminal
from runner.errors import UsageError


def asked(typed: str) -> dict[str, Any]:
    return {"stream_in": io.StringIO(typed), "stream_out": io.StringIO()}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["y\n", "Y\n", " yes \n", "what\ny\n"])
def test_a_plain_yes_is_a_yes(typed):
    assert confirm("Issue 1,896 coupons?", **asked(typed)) is True


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "no\n", "maybe\nperhaps\nsure\ny\n", "yess\n"])
def test_anything_else_is_a_no(typed):
    """Enter, the end of the input, and three answers that cannot be understood."""
    assert confirm("Issue 1,896 coupons?", **asked(typed)) is False


def test_the_question_shows_that_no_is_what_enter_means():
    streams = asked("\n")
    confirm("Issue 1,896 coupons?", **streams)
    assert streams["stream_out"].getvalue() == "Issue 1,896 coupons? [y/N] "


def test_enter_takes_the_suggestion_and_an_answer_replaces_it():
    streams = asked("\n")
    assert ask("Each customer counts once within:", "november", **streams) == "november"
    assert "[november]" in streams["stream_out"].getvalue()
    assert ask("Each customer counts once within:", "november", **asked(" birthday \n")) == "birthday"


@pytest.mark.parametrize("suggestion", ["november", ""])
def test_the_end_of_the_input_is_no_answer_even_with_a_suggestion(suggestion):
    with pytest.raises(UsageError, match="Each customer counts once within"):
        ask("Each customer counts once within:", suggestion, **asked(""))


def test_without_a_suggestion_enter_asks_again():
    assert ask("Campaign:", **asked("\nbirthday\n")) == "birthday"


CHOICES = {"skip": "leave these customers out", "allow": "issue all the same", "refuse": "send nothing"}


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [("allow\n", "allow"), ("s\n", "skip"), ("\n", "refuse"), ("", "refuse"), ("x\ny\nz\nallow\n", "refuse")],
)
def test_a_choice_is_one_of_the_words_and_no_answer_is_the_default(typed, chosen):
    assert choose("42 orders overlap.", CHOICES, default="refuse", **asked(typed)) == chosen


def test_a_choice_explains_each_word():
    streams = asked("\n")
    choose("42 orders overlap.", CHOICES, default="refuse", **streams)
    assert "  allow   issue all the same\n" in streams["stream_out"].getvalue()


def test_questions_from_outside_cannot_command_the_terminal():
    streams = asked("n\n")
    confirm("Issue for \x1b[2Jbirthday?", **streams)
    assert "\x1b" not in streams["stream_out"].getvalue()


def test_somebody_can_be_asked_only_when_input_and_messages_are_a_terminal():
    assert is_terminal(Terminal(), Terminal()) is True
    assert is_terminal(Terminal(), io.StringIO()) is False
    assert is_terminal(io.StringIO(), Terminal()) is False
    closed = io.StringIO()
    closed.close()
    assert is_terminal(closed, Terminal()) is False
