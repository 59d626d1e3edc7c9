"""Which encoding the bytes of a text are in, where they do not say it: decided only when it is certain.

A wrong encoding changes names, and ids that are not plain digits. Windows-1252 is what Excel writes in the west of
Europe and in America, so it is taken where everything it makes of the bytes is a letter or sign used there; languages
with another alphabet are told apart by what their texts look like; all else is refused.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

WESTERN = "cp1252"

LABELS = {
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp1257": "Windows-1257",
    "cp874": "Windows-874",
    "cp932": "Shift JIS (Windows-932)",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "euc_jp": "EUC-JP",
    "euc_kr": "EUC-KR",
    "cp949": "Korean (Windows-949)",
}
"""Encodings by the names that people know."""

_LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœ"
"""Left out are letters that are others in Mac and DOS encodings (Š, Ž), or in the Turkish one (Ð, Ý, Þ)."""

_SIGNS = "’\u2018“”„–—…€•«»°ªº¿¡£§©®™\u00a0"
_WESTERN = frozenset(_LETTERS + _SIGNS)
_WORDS = re.compile(rf"[A-Za-z{_LETTERS}]+")
_SIGN_IN_WORD = re.compile(rf"[A-Za-z{_LETTERS}][^\W\d_{_LETTERS}A-Za-z]|[ÃÂâ][^\x00-\x7f{_LETTERS}’]")
_SIGN_BETWEEN_LETTERS = re.compile(rf"[a-z{_LETTERS}][–—…€•«»°ªº¿¡£§©®™\u00a0„“”\u2018][a-z{_LETTERS}]")

_UTF8 = re.compile(rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+")
_HIGH = re.compile(rb"[\x80-\xff]")

_ENOUGH = 20
"""Bytes above ASCII below which nothing can be said of a language."""


_NO_TEXT = frozenset({"utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
"""Codecs of Python that are no encoding of a file, or make other signs of plain ASCII."""


class Guess(NamedTuple):
    """What a detector thinks of a text: `chaos` 0 for orderly, `coherence` 1 for exactly a language's letters."""

    codec: str
    chaos: float
    coherence: float
    text: str


def label_of(codec: str) -> str:
    """An encoding by the name that people know."""
    return LABELS.get(codec, codec)


def check_encoding(name: str) -> str:
    """The codec of an encoding that somebody named.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        found = codecs.lookup(name.strip())
    except (LookupError, ValueError):
        found = None
    text = found is not None and getattr(found, "_is_text_encoding", True)
    if found is None or not text or found.name in _NO_TEXT:
        raise ValueError("write the name of an encoding, such as utf-8, windows-1252 or shift_jis")
    return found.name


def is_damaged_utf8(sample: bytes) -> bool:
    """Whether a text that is not UTF-8 mostly is: then some of it is damaged, or two files were put together."""
    high = len(_HIGH.findall(sample))
    return high > 0 and 2 * sum(map(len, _UTF8.findall(sample))) >= high


def is_western(sample: bytes) -> bool:
    """Whether Windows-1252 makes nothing but western letters and signs of the bytes, in words with ASCII letters."""
    try:
        text = sample.decode(WESTERN)
    except UnicodeDecodeError:
        return False
    if not {sign for sign in text if sign > "\x7f"} <= _WESTERN:
        return False
    if _SIGN_IN_WORD.search(text.replace("’", "")) or _SIGN_BETWEEN_LETTERS.search(text):
        return False
    high = plain = 0
    for word in _WORDS.findall(text):
        above = sum(sign > "\x7f" for sign in word)
        if above:
            high += above
            plain += len(word) - above
    return high <= plain


def certain_of(sample: bytes, guesses: Sequence[Guess]) -> str | None:
    """The one guess that is certain, for a text in another alphabet than the Latin one; else None."""
    if not guesses or len(_HIGH.findall(sample)) < _ENOUGH:
        return None
    best = guesses[0]
    orderly = best.chaos <= 0.02 or (best.chaos <= 0.1 and best.coherence >= 0.4)
    if not orderly or _is_latin(best.text):
        return None
    for other in guesses[1:]:
        if other.text == best.text:
            continue
        clearer = other.chaos - best.chaos >= 0.05
        if not clearer and best.coherence - other.coherence < 0.3:
            return None
    return best.codec


def _is_latin(text: str) -> bool:
    """Whether the letters above ASCII are mostly Latin ones, which look alike in many encodings."""
    letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
    latin = sum(unicodedata.name(sign, "").startswith("LATIN") for sign in letters)
    return 2 * latin >= len(letters)
