"""The code table: complete, plain, and impossible to configure into issuing twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.codes import SUCCESS_CODES, TWINS, CodeTable
from runner.core.model import CodeClass, Scope
from runner.errors import SettingsError

TABLE = CodeTable.default()
PAGE = Path(__file__).parents[2] / "docs" / "codes.md"

# API.md, "What a code means for the caller", as written there.
DOCUMENTED = {
    (CodeClass.RETRY, Scope.SERIES, 0): "5005",
    (CodeClass.RETRY, Scope.CUSTOMER, 0): "521",
    (CodeClass.RETRY, Scope.RUN, 0): "429 4001",
    (CodeClass.FINAL, Scope.ROW, 0): "677 701 709 740 742 750 756 5002 5004 5006 721 8015",
    (CodeClass.FINAL, Scope.SERIES, 1): "707",
    (CodeClass.FINAL, Scope.SERIES, 3): "712 713 714 5001 777 788 795 799",
    (CodeClass.FINAL, Scope.RUN, 0): "401 498 403 4000 404 405 413 415 320001 735 715 http_400 http_422 redirect",
    (CodeClass.UNKNOWN, Scope.ROW, 0): (
        "timeout connection_lost unreadable_answer no_counts http_408 http_301 http_302 http_303 http_500 http_502"
        " http_503 http_504 http_520 http_521 http_522 http_523 http_524 748 500"
        " 722 730 786 787 789 790 791 792 793 794 796 797 798"
    ),
}


def codes_page() -> str:
    """docs/codes.md, as it must be; `python -m tests.core.test_codes > docs/codes.md` writes it."""
    lines = [
        "# What the codes mean",
        "",
        "Each answer has a code of the API, or the runner gives it one (a word, or `http_` and the status).",
        "",
        "- *retry*: nothing more was issued; the runner asks again.",
        "- *final*: nothing more was issued; it is not asked for again in this run.",
        "- *unknown*: a coupon may have been issued; it is held as in doubt and never asked for again by itself.",
        "",
        "*For* says whom it concerns; a number says how many such answers in a row close the series. A code that is",
        "not listed is final for the row, and three alike in a row close the series; with a status such as 500 it is",
        "unknown.",
        "",
        "The configuration may change a code's `class`, `scope`, `agreeing`, `meaning` and `advice`. What could issue",
        "a coupon twice is refused: an unknown outcome is never retried, and made final only with",
        "`nothing_issued = true`, after Capillary confirmed it for that code.",
        "",
        "| code | class | for | meaning | what to do | who |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    twin_of = {error: warning for warning, error in TWINS.items()}
    for code, rule in TABLE.rules.items():
        names = f"{code} ({twin_of[code]} as a warning)" if code in twin_of else code
        scope = f"{rule.scope}, {rule.agreeing}" if rule.agreeing else str(rule.scope)
        lines.append(f"| {names} | {rule.klass} | {scope} | {rule.meaning} | {rule.advice} | {rule.fixer} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("klass", "scope", "agreeing"), DOCUMENTED)
def test_the_table_says_what_the_reference_says(klass: CodeClass, scope: Scope, agreeing: int) -> None:
    """Each documented code has its class, its scope and the number of agreeing answers that close a series."""
    for code in DOCUMENTED[klass, scope, agreeing].split():
        rule = TABLE.look_up(code)
        assert rule is not None, code
        assert (rule.klass, rule.scope, rule.agreeing) == (klass, scope, agreeing), code


@pytest.mark.parametrize(
    ("warning", "error"), [("702", "5005"), ("679", "5004"), ("626", "5001"), ("621", "5002"), ("678", "5006")]
)
def test_a_warning_twin_has_the_rule_of_its_error(warning: str, error: str) -> None:
    """The seed's table of twins."""
    assert TABLE.look_up(warning) is TABLE.look_up(error) is not None


def test_every_code_has_plain_words() -> None:
    """One meaning and one or two sentences of advice each; a retry always says what waits."""
    for code, rule in TABLE.rules.items():
        assert rule.code == code
        assert re.fullmatch(r"[A-Z].{10,90}\.", rule.meaning), code
        assert re.fullmatch(r"[A-Z].{20,250}\.", rule.advice), code
        assert (rule.klass, rule.scope) != (CodeClass.RETRY, Scope.ROW), code
        assert rule.klass is CodeClass.FINAL or rule.agreeing == 0, code


def test_an_unlisted_code_still_gets_advice() -> None:
    """A report never has an empty advice."""
    assert TABLE.look_up("31337") is None
    assert "31337" in TABLE.meaning("31337")
    assert "request id" in TABLE.advice("31337")
    assert "418" in TABLE.meaning("http_418")
    assert TABLE.fixer("31337")


def test_the_page_of_codes_is_the_table() -> None:
    """docs/codes.md cannot lie."""
    assert PAGE.read_text(encoding="utf-8") == codes_page(), "write it: python -m tests.core.test_codes > docs/codes.md"


def test_an_override_changes_one_code_and_leaves_the_default_alone() -> None:
    """A user who learns better changes one place."""
    changed = TABLE.with_overrides({"5005": {"class": "final", "scope": "row"}, "707": {"advice": "Ask Asha."}})
    rule, other = changed.look_up("5005"), changed.look_up("707")
    assert rule is not None
    assert other is not None
    assert (rule.klass, rule.scope, rule.agreeing) == (CodeClass.FINAL, Scope.ROW, 0)
    assert changed.look_up("702") is rule
    assert (other.advice, other.agreeing, other.scope) == ("Ask Asha.", 1, Scope.SERIES)
    assert TABLE.look_up("5005") != rule


def test_a_new_series_code_closes_after_three_unless_told_otherwise() -> None:
    """`agreeing` has the careful default."""
    changed = TABLE.with_overrides(
        {"9001": {"class": "final", "scope": "series"}, "9002": {"class": "final", "scope": "series", "agreeing": 1}}
    )
    assert [changed.rules[code].agreeing for code in ("9001", "9002")] == [3, 1]
    assert not changed.rules["9001"].proven


def test_an_unknown_code_becomes_final_only_by_a_recorded_word() -> None:
    """`nothing_issued = true` is the owner's word that Capillary confirmed it."""
    changed = TABLE.with_overrides({"722": {"class": "final", "scope": "row", "nothing_issued": True}})
    assert changed.rules["722"].klass is CodeClass.FINAL


@pytest.mark.parametrize(
    ("code", "change", "words"),
    [
        ("5005", {"class": "sometimes"}, "unknown class 'sometimes'; write retry, final, unknown"),
        ("5005", {"scope": "world"}, "unknown scope 'world'; write row, customer, series, run"),
        ("5005", {"klass": "final"}, "unknown key klass"),
        ("5005", {"class": 3}, "unknown class 3"),
        ("5005", {"agreeing": "three"}, "write a whole number"),
        ("5005", {"agreeing": True}, "write a whole number"),
        ("722", {"class": "final", "nothing_issued": "yes"}, "write nothing_issued = true"),
        ("5005", {"advice": 7}, "a sentence in quotes"),
        ("707", {"agreeing": 0}, "1 to 100"),
        ("707", {"agreeing": -1}, "1 to 100"),
        ("5005", "final", "expected a table"),
        ("702", {"class": "final"}, "twin of 5005; set 5005"),
        ("700", {"class": "final", "scope": "row"}, "reports success"),
        ("200", {"class": "final", "scope": "row"}, "reports success"),
        ("five", {"class": "final", "scope": "row"}, "no code of the API"),
        ("9001", {"class": "final"}, "scope is needed"),
        ("9001", {"scope": "row"}, "class is needed"),
        ("9001", {"class": "retry", "scope": "customer"}, "could issue twice"),
        ("http_409", {"class": "retry", "scope": "customer"}, "could issue twice"),
        ("701", {"class": "retry"}, "what waits"),
        ("722", {"class": "retry", "scope": "customer"}, "could issue twice"),
        ("722", {"class": "retry", "scope": "customer", "nothing_issued": True}, "could issue twice"),
        ("722", {"class": "final"}, "could issue twice"),
        ("748", {"class": "final", "nothing_issued": True}, "stays unknown"),
        ("500", {"class": "final", "nothing_issued": True}, "stays unknown"),
        ("http_504", {"class": "final", "nothing_issued": True}, "stays unknown"),
        ("http_408", {"class": "final", "nothing_issued": True}, "stays unknown"),
        ("timeout", {"class": "retry", "scope": "run"}, "word of the runner"),
        ("resent", {"class": "retry", "scope": "customer"}, "word of the runner"),
    ],
)
def test_a_wrong_override_is_refused_with_a_sentence(code: str, change: object, words: str) -> None:
    """What is wrong, where, and what to write instead."""
    with pytest.raises(SettingsError) as refused:
        TABLE.with_overrides({code: change})  # type: ignore[dict-item]
    assert refused.value.message.startswith(f'codes."{code}": ')
    assert words in refused.value.message


def test_all_wrong_overrides_are_told_together() -> None:
    """One line each."""
    with pytest.raises(SettingsError) as refused:
        TABLE.with_overrides({"722": {"class": "retry"}, "702": {}, "5005": {"class": "final", "scope": "row"}})
    assert len(refused.value.message.splitlines()) == 2


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "class": st.sampled_from(["retry", "final", "unknown", "", None]),
        "scope": st.sampled_from(["row", "customer", "series", "run", 1]),
        "agreeing": st.one_of(st.integers(-2, 200), st.booleans(), st.none()),
        "nothing_issued": st.booleans(),
    },
)
CODES = st.one_of(
    st.sampled_from([*TABLE.rules, *TWINS, *SUCCESS_CODES, "http_409", "http_409 ", "²"]), st.text(max_size=6)
)


@given(code=CODES, change=CHANGES)
def test_no_override_makes_an_unknown_outcome_one_that_is_asked_again(code: str, change: dict[str, object]) -> None:
    """Unknown never becomes retry, and final only for a code of the body, by a recorded word."""
    try:
        changed = TABLE.with_overrides({code: change})
    except SettingsError:
        return
    before, after = TABLE.look_up(code), changed.look_up(code)
    assert after is not None
    if before is None:
        assert after.klass is not CodeClass.RETRY or change["nothing_issued"] is True
    elif before.klass is CodeClass.UNKNOWN and after.klass is not CodeClass.UNKNOWN:
        assert after.klass is CodeClass.FINAL
        assert change["nothing_issued"] is True
        assert code.isdigit()
        assert code not in ("500", "748")
    assert after.klass is not CodeClass.RETRY or after.scope is not Scope.ROW


if __name__ == "__main__":
    print(codes_page(), end="")
