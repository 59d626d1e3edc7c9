"""Canonical forms of the names of a customer. They decide who is who, so they are fixed: a change needs a new version.

A mobile is its E.164 digits without `+`, an e-mail compares in lower case, an externalId is trimmed and exact and never
a number. Nothing here guesses: what cannot be placed stays its digits, what is damaged is refused with the remedy.
"""

from __future__ import annotations

import re
import unicodedata

from runner.core.mobiles import APOSTROPHES, FORGIVEN, MINUS, PLUS, canonical_mobile, has_two_readings, region_problem
from runner.core.model import CustomerFacts, Identifier, Kind
from runner.core.trimming import trim

__all__ = [
    "IDENTITY_VERSION",
    "canonical_email",
    "canonical_external_id",
    "canonical_mobile",
    "email_problem",
    "is_plain_email",
    "names_of_answer",
    "read_identifier",
    "region_problem",
]

IDENTITY_VERSION = 1
"""Stored with each scope: a ledger of another version is refused until it is migrated."""

EMAIL_MAX_CHARACTERS = 255
MOBILE_MIN_DIGITS = 5
MOBILE_MAX_DIGITS = 15
"""E.164 numbers have at most fifteen digits; anything below five is a short code, which nobody owns."""


_HIDDEN = ("Cc", "Cf", "Cs")
"""Unicode categories of signs that nobody sees: controls, formats, halves of a pair."""

_ERROR_VALUE = re.compile(r"#(?:[A-Z]+[/0-9A-Z]*[!?]?|#+)", re.IGNORECASE)
_SHORTENED = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE]\+?\d+")
_DECIMAL_TAIL = re.compile(r"\+?\d+[.,]0+")

_EMAIL_PLAIN = re.compile(
    r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+(?:\.[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+)*"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9]|-(?!-)){0,61}(?<!-)\.)+([A-Za-z]{2,63}))"
)
_EMAIL_PLAIN_MAX = 253
_EMAIL_SPECIAL_ENDS = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


def canonical_email(text: str) -> str:
    """The form in which addresses compare: trimmed, NFC, lower case."""
    text = trim(text)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def canonical_external_id(text: str) -> str:
    """An externalId compares exactly, but for white space around it: leading zeros matter, it is never a number."""
    return trim(text)


def is_plain_email(text: str) -> bool:
    """True for plain ASCII addresses that email-validator is known to accept; False says nothing."""
    found = _EMAIL_PLAIN.fullmatch(text)
    return (
        found is not None
        and len(text) <= _EMAIL_PLAIN_MAX
        and found[2].lower() not in _EMAIL_SPECIAL_ENDS
        and len(found[1]) <= _EMAIL_PLAIN_MAX
    )


def email_problem(text: str) -> str | None:
    """Why a trimmed address is not valid (email-validator, without asking the network), else None."""
    if is_plain_email(text):
        return None
    if len(text) > EMAIL_MAX_CHARACTERS:
        return f"This address has {len(text)} characters; the API takes at most {EMAIL_MAX_CHARACTERS}."
    from email_validator import EmailNotValidError, validate_email  # its patterns take their time to compile

    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError as problem:
        return f"This is not an e-mail address: {problem} Correct it, or leave the cell empty."
    except UnicodeError:
        return "This is not an e-mail address: it holds characters that no text can hold. Type it again."
    return None


def read_identifier(kind: Kind, text: str, region: str | None) -> Identifier | str:
    """One cell of an identifier column as an identifier, or a sentence that says why not and what to do.

    `written`, which is what is sent: a mobile's canonical digits, an address or externalId trimmed as it was written.
    A cell that is blank is no identifier: do not ask about it.
    """
    if kind is Kind.MOBILE:
        return _read_mobile(text, region)
    trimmed = trim(text)
    if kind is Kind.CUSTOMER_ID:
        return "A customer id is learnt from the API's answers and never read from a file."
    if not trimmed.isalnum() and (damage := _damage(trimmed)) is not None:
        return damage
    if kind is Kind.EMAIL:
        problem = email_problem(trimmed)
        return problem if problem is not None else Identifier(kind, canonical_email(trimmed), trimmed)
    if not trimmed.isprintable() and (hidden := _first_hidden(trimmed)):
        return (
            f"This id holds a line break or an invisible character (U+{ord(hidden):04X}). "
            "Type it again in one line, without pasting."
        )
    return Identifier(kind, trimmed, trimmed)


def _first_hidden(trimmed: str) -> str:
    return next((sign for sign in trimmed if unicodedata.category(sign) in _HIDDEN), "")


def _damage(trimmed: str) -> str | None:
    """What a spreadsheet does to any kind of identifier."""
    if _ERROR_VALUE.fullmatch(trimmed):
        return "This is an error value of the spreadsheet. Mend the formula, or type the value itself."
    if _SHORTENED.fullmatch(trimmed):
        return (
            "A spreadsheet has shortened this number and its last digits are lost. "
            "Format the column as text and enter the number again from its source."
        )
    return None


def _read_mobile(text: str, region: str | None) -> Identifier | str:
    number = canonical_mobile(text, region)
    if MOBILE_MIN_DIGITS <= len(number) <= MOBILE_MAX_DIGITS and text.isalnum() and number.strip("0"):
        return Identifier(Kind.MOBILE, number, number)
    trimmed = trim(text)
    if (damage := _damage(trimmed)) is not None:
        return damage
    if trimmed.upper() in ("TRUE", "FALSE"):
        return "This is a truth value, not a number: the columns may have shifted, or a formula stands here."
    if _DECIMAL_TAIL.fullmatch(trimmed):
        return (
            "This is a number with decimals, as a program writes that took the mobile for a quantity. "
            "Format the column as text and remove the decimals."
        )
    if trimmed[:1] in tuple(MINUS) and any(sign.isdecimal() for sign in trimmed):
        return (
            "This number begins with a minus: a spreadsheet has probably calculated with it. "
            "Format the column as text and enter it again."
        )
    if not number:
        return _strange_sign(trimmed)
    if not number.strip("0"):
        return "This number holds nothing but zeros. Enter the real number, or leave the cell empty."
    if len(number) < MOBILE_MIN_DIGITS:
        return f"A mobile needs at least {MOBILE_MIN_DIGITS} digits with its country code; this one has {len(number)}."
    if len(number) > MOBILE_MAX_DIGITS:
        return (
            f"A mobile has at most {MOBILE_MAX_DIGITS} digits with its country code; this one has {len(number)}. "
            "One cell takes one number."
        )
    return Identifier(Kind.MOBILE, number, number)


def _strange_sign(trimmed: str) -> str:
    rest = FORGIVEN.sub("", trimmed.lstrip(PLUS + APOSTROPHES))
    sign = next((sign for sign in rest if not sign.isdecimal()), "")
    if not sign:
        return "This cell holds no digits. Enter the number, or leave the cell empty."
    shown = repr(sign) if sign.isprintable() else f"U+{ord(sign):04X}"
    return (
        f"This is not a mobile number: it holds {shown}. "
        "Enter one number in digits with its country code, or leave the cell empty."
    )


_ANSWER_KINDS = {
    "mobile": Kind.MOBILE,
    "phone": Kind.MOBILE,
    "email": Kind.EMAIL,
    "externalId": Kind.EXTERNAL_ID,
    "externalid": Kind.EXTERNAL_ID,
}


def names_of_answer(facts: CustomerFacts, region: str | None) -> tuple[Identifier, ...]:
    """The canonical names that an answer gives a customer, each once, her customer id first. Raises nothing.

    Left out, because a wrong name would merge two people: kinds that are not known, values that would be refused in a
    file, ids that stand for "nobody" (0, -1, null), and a mobile that is valid abroad as it stands and valid in
    `region` too, with another meaning (answers come with or without country code).
    """
    names: list[Identifier] = []
    number = facts.id.strip()
    if number.isdecimal() and number.strip("0"):
        names.append(Identifier(Kind.CUSTOMER_ID, number, number))
    # Answers list most identifiers twice, and this runs for every call.
    for word, value in dict.fromkeys(facts.identifiers):
        kind = _ANSWER_KINDS.get(word) or _ANSWER_KINDS.get("".join(filter(str.isalpha, word.casefold())))
        if kind is None or not value:
            continue
        name = read_identifier(kind, value, region)
        if isinstance(name, str) or not name.value or name in names:
            continue
        if kind is Kind.MOBILE and name.value != value and has_two_readings(value, region):
            continue
        names.append(name)
    return tuple(names)
