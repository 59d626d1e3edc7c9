"""Which heading is which: the roles of a table's columns, found by synonyms or told by `--map`, never guessed.

A customer id or user id is not an externalId until somebody says so. Files that we wrote are recognised by their `_ref`
column; the columns that we added to them are not part of the person's table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from runner.core.model import Kind
from runner.core.neutralising import restore
from runner.core.refs import REF_COLUMN
from runner.core.trimming import trim

SERIES_COLUMN = "_series"

ADDED_COLUMNS = (
    *("_file", "_row", "_sheet", SERIES_COLUMN, "_status", "_target", "_issued", "_issued_before", "_missing"),
    *("_in_doubt", "_revoked", "_codes", "_coupon_ids", "_error_code", "_error_message", "_advice", "_attempts"),
    *("_first_sent", "_last_answer", "_request_id", REF_COLUMN),
)
"""The headings that our files add to the person's own, in their order."""


class Role(StrEnum):
    """What a column is for. The value is the word that `--map` takes; nobody maps `_ref`."""

    MOBILE = "mobile"
    EMAIL = "email"
    EXTERNAL_ID = "externalId"
    SERIES = "series_id"
    COUNT = "count"
    REF = REF_COLUMN


IDENTIFIERS: Mapping[Role, Kind] = MappingProxyType(
    {Role.MOBILE: Kind.MOBILE, Role.EMAIL: Kind.EMAIL, Role.EXTERNAL_ID: Kind.EXTERNAL_ID}
)
"""The roles that name a customer, in the order in which a row's identifiers are listed."""

MAPPABLE = tuple(role for role in Role if role is not Role.REF)

SYNONYMS: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        Role.MOBILE: (
            *("mobile", "mobiles", "mobile no", "mobile num", "mobile number", "mobile phone", "mobile phone no"),
            *("mobile phone number", "mob", "mob no", "phone", "phones", "phone no", "phone num", "phone number"),
            *("ph", "ph no", "ph number", "telephone", "telephone no", "telephone number", "tel", "tel no", "cell"),
            *("cell no", "cell number", "cell phone", "cell phone no", "cell phone number", "handphone", "msisdn"),
            *("contact no", "contact number", "customer mobile", "customer mobile no", "customer mobile number"),
            *("customer phone", "customer phone no", "customer phone number", "id mobile", "mobile id", "whatsapp"),
            *("whatsapp no", "whatsapp number", "m no", "mob number", "registered mobile", "registered mobile no"),
            *("handy", "handynummer", "mobilnummer", "mobiltelefon", "telefon", "telefonnummer", "rufnummer"),
            *("téléphone", "portable", "numéro de téléphone", "numéro de portable", "tél", "teléfono", "móvil"),
            *("celular", "número de teléfono", "número de celular", "telefone", "telemóvel", "número de telefone"),
            *("cellulare", "telefono", "numero di telefono", "nomor hp", "no hp", "nomor telepon", "nomor ponsel"),
            *("telefon bimbit", "cep telefonu", "telefon numaras\u0131", "số điện thoại", "телефон", "мобильный"),
            *("номер телефона", "मोबाइल", "मोबाइल नंबर", "फ़ोन", "फोन नंबर", "الجوال", "رقم الجوال", "الهاتف"),
            *("numéro de mobile", "numéro de tél", "téléphone portable", "téléphone mobile", "n° de téléphone"),
            *("n° de portable", "n° de mobile", "n° téléphone", "n° tél"),
            *("no de téléphone", "no de portable", "num tél"),
            *("teléfono móvil", "teléfono celular", "número móvil", "número celular", "número de móvil", "tel móvil"),
            *("n° de teléfono", "n° de móvil", "n° de celular", "nº de teléfono"),
            *("nº de móvil", "nº de celular", "cel"),
            *("núm de teléfono", "núm de celular", "núm de móvil", "número de telemóvel"),
            *("nº de telemóvel", "nº celular"),
            *("n° de telemóvel", "nº de telefone", "telefone celular", "telefone móvel", "nº telemóvel", "n° celular"),
            *("nomor handphone", "no handphone", "no telepon", "no telp", "nomor telp", "no ponsel", "nomor ponsel"),
            *("nomor wa", "no wa", "no whatsapp", "nomor whatsapp", "telepon", "hp", "nomor telepon genggam"),
            *("मोबाइल नं", "मोबाइल न", "फ़ोन नंबर", "फोन", "फोन नं", "رقم الموبايل", "الموبايل", "جوال", "رقم جوال"),
            *("رقم المحمول", "رقم الهاتف المحمول", "رقم التليفون", "هاتف"),
            *(
                "رقم الهاتف",
                "เบอร์โทร",
                "เบอร์มือถือ",
                "手机",
                "手机号",
                "手机号码",
                "电话",
                "電話番号",
                "携帯電話",
                "携帯番号",
            ),
        ),
        Role.EMAIL: (
            *("email", "emails", "email id", "email ids", "email address", "email addr", "mail", "mail id"),
            *("mail address", "customer email", "customer email id", "customer email address", "id email"),
            *("e mail adresse", "mailadresse", "courriel", "adresse e mail", "adresse email", "correo"),
            *("correo electrónico", "dirección de correo", "endereço de email", "indirizzo email", "alamat email"),
            *("surel", "emel", "e posta", "e posta adresi", "почта", "эл почта", "электронная почта", "ईमेल"),
            *("البريد الالكتروني", "الايميل", "الإيميل", "ईमेल आईडी"),
            *("correo e", "adresse électronique", "alamat surel"),
            *("البريد الإلكتروني", "อีเมล", "邮箱", "电子邮件", "電子郵件", "メール", "メールアドレス"),
        ),
        Role.EXTERNAL_ID: (
            *("external id", "external ids", "externalid", "ext id", "external customer id", "external cust id"),
            *("ext customer id", "ext cust id", "customer external id", "cust external id", "external identifier"),
            *("id external", "externe id", "identifiant externe", "id externo", "identificador externo", "id esterno"),
        ),
        Role.SERIES: (
            *("series", "series id", "series ids", "series no", "series number", "coupon series", "coupon series id"),
            *("coupon series ids", "coupon series no", "coupon series number", "id series"),
            *("serie", "série", "coupon serie", "gutscheinserie", "serie de cupones", "série de coupons", "seri kupon"),
            *("id serie", "id de serie", "id de série", "id da série", "id seri", "seri", "série de cupons"),
            *("серия", "серия купонов", "सीरीज़", "券系列"),
        ),
        Role.COUNT: (
            *("count", "qty", "quantity", "coupons", "coupon count", "coupons count", "coupon qty", "coupon quantity"),
            *("no of coupons", "number of coupons", "num of coupons", "num coupons", "nos", "how many"),
            *("anzahl", "menge", "stückzahl", "quantité", "qté", "cantidad", "quantidade", "quantità"),
            *("jumlah", "adet", "số lượng", "количество", "кол во", "संख्या", "मात्रा", "العدد", "الكمية"),
            *("anz", "anzahl gutscheine", "anzahl coupons", "nb", "nb coupons", "nb de coupons", "nombre de coupons"),
            *("cant", "cantidad de cupones", "número de cupones", "qtd", "qtde", "quantidade de cupons"),
            *("número de cupons", "jumlah kupon", "banyaknya", "कूपन संख्या"),
            *("कूपन की संख्या", "عدد الكوبونات", "عدد القسائم"),
            *("จำนวน", "数量", "枚数", "張數"),
        ),
        Role.REF: (),
    }
)
"""Headings that mean a role whatever their case, blanks, dots and dashes."""

ASKED_ABOUT = (
    "customer id",
    "cust id",
    "user id",
    "id",
    "customer",
    "member id",
    "loyalty id",
    "card no",
    "card number",
    "client id",
    "userid",
    "customer no",
    "customer number",
    "customer code",
    "kundennummer",
    "id cliente",
    "código de cliente",
)
"""Headings that may or may not be an externalId: a person says so with `--map`, nobody assumes it."""


def squeeze(heading: str) -> str:
    """A heading as it compares: letters and digits only, whatever their case and accents."""
    if heading.isascii():
        return "".join(filter(str.isalnum, heading)).casefold()
    signs = unicodedata.normalize("NFKD", heading).casefold()
    kept = (sign for sign in signs if sign.isalnum() or (unicodedata.combining(sign) == 0 and _is_vowel_sign(sign)))
    return unicodedata.normalize("NFC", "".join(kept))


def _is_vowel_sign(sign: str) -> bool:
    """A mark that is a letter of its script and no accent: of Hindi, Thai, Tamil …"""
    return unicodedata.category(sign) in ("Mc", "Mn")


_ROLES = {squeeze(word): role for role, words in SYNONYMS.items() for word in words}
_EXACT: dict[str, Role] = {squeeze(role): role for role in MAPPABLE}
_UNCERTAIN = frozenset(map(squeeze, ASKED_ABOUT))
_MAP_WORDS = {squeeze(role): role for role in MAPPABLE} | {"series": Role.SERIES}
_ADDED = frozenset(ADDED_COLUMNS)


class Rung(StrEnum):
    """How a heading came to its role, the most certain first."""

    TOLD = "told"
    EXACT = "the word itself"
    OWN = "a heading of the settings"
    SYNONYM = "a synonym"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of one table, understood.

    `headers`: as the person wrote them. `roles`: role → index. `originals`: the indexes of the person's own columns,
    in order (all but those that we added to a file of ours). `added`: our heading → index. `ours`: we wrote the file.
    `uncertain`: headings that were not used because nobody said what they are. `rungs`: index → how it got its role.
    """

    headers: tuple[str, ...]
    roles: Mapping[Role, int]
    originals: tuple[int, ...]
    added: Mapping[str, int]
    ours: bool
    uncertain: tuple[str, ...]
    rungs: Mapping[int, Rung] = field(default_factory=dict)

    @property
    def original_headers(self) -> tuple[str, ...]:
        """The headings of `Row.cells`."""
        return tuple(self.headers[index] for index in self.originals)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of identifier that the table has a column for."""
        return tuple(kind for role, kind in IDENTIFIERS.items() if role in self.roles)

    @property
    def unread(self) -> tuple[str, ...]:
        """The headings that mean nothing here: their columns are only copied into the reports."""
        known = {*self.roles.values(), *(i for i, name in enumerate(self.headers) if trim(name) in self.uncertain)}
        return tuple(trim(self.headers[index]) for index in self.originals if index not in known)

    def unread_sentence(self, default_count: int | None) -> str | None:
        """What is only copied, so that a column that was meant is missed in time; None when there is none.

        `default_count`: what a row asks for without a column of counts; None where the list of series says it.
        """
        names = [name for name in self.unread if name]
        if self.ours or not names:
            return None
        more = f" and {len(names) - _UNREAD:,} more" if len(names) > _UNREAD else ""
        sentence = f"only copied, and not read: {_listed(names, range(min(len(names), _UNREAD)))}{more}"
        if Role.COUNT not in self.roles and default_count is not None:
            sentence += f" (none of them is taken for the count: each row asks for {default_count:,})"
        return sentence

    @property
    def mapping(self) -> dict[str, str]:
        """Heading → role, as the campaign freezes it: `_ref` is not part of it."""
        return {self.headers[index]: str(role) for role, index in self.roles.items() if role is not Role.REF}


def is_uncertain(heading: str) -> bool:
    """Whether a heading may or may not be an externalId, so that a person has to say it."""
    return squeeze(heading) in _UNCERTAIN


def own_headings(words: Mapping[str, Sequence[str]]) -> Mapping[str, Role] | list[str]:
    """The headings that the settings add to the synonyms, squeezed; or every reason why they cannot be used."""
    found: dict[str, Role] = {}
    problems: list[str] = []
    for word, headings in words.items():
        role = _MAP_WORDS.get(squeeze(word))
        if role is None:
            problems.append(f"headings does not know '{word}'. It takes {', '.join(MAPPABLE)}.")
            continue
        for heading in headings:
            name = squeeze(heading)
            if not name:
                problems.append(f"headings.{word}: '{heading}' holds neither a letter nor a digit.")
            elif (before := found.setdefault(name, role)) is not role:
                problems.append(f"headings: '{heading}' is said to be {before} and {role}. A heading has one role.")
    return problems or MappingProxyType(found)


_UNREAD = 12
"""Headings that a sentence names."""

NO_HEADINGS: Mapping[str, Role] = MappingProxyType({})


def _rung_of(heading: str, own: Mapping[str, Role]) -> tuple[Role, Rung] | None:
    name = squeeze(heading)
    for words, rung in ((_EXACT, Rung.EXACT), (own, Rung.OWN), (_ROLES, Rung.SYNONYM)):
        role = words.get(name)
        if role is not None:
            return role, rung
    return None


def role_of(heading: str) -> Role | None:
    """The role that a heading means by itself, else None."""
    return _ROLES.get(squeeze(heading))


def is_ours(headers: Sequence[str]) -> bool:
    """True when a table with these headings was written by this program: it has a `_ref` column."""
    return any(trim(heading) == REF_COLUMN for heading in headers)


def assign_columns(
    headers: Sequence[str], mapping: Mapping[str, str], own: Mapping[str, Role] = NO_HEADINGS
) -> Columns | list[str]:
    """Give each role its column, or list every reason why that is not possible, each a sentence for a person.

    `mapping` is `--map`: role → heading. What is told wins over what a heading means; all else that bears a role's
    synonym is then just a column. `series` is accepted for `series_id`. `own`: of the settings (`own_headings`), which
    win over the synonyms that come with the program. Several columns for one role are refused, never ranked: the word
    itself on one and a synonym on another says nothing about which one is meant.
    """
    ours = is_ours(headers)
    headers = tuple(map(restore, headers) if ours else headers)
    names = tuple(map(trim, headers))
    added: dict[str, int] = {}
    problems: list[str] = []
    if ours:
        for index, name in enumerate(names):
            if name in _ADDED and added.setdefault(name, index) != index:
                problems.append(
                    f"The column '{name}' of our own is there twice (columns {added[name] + 1} and "
                    f"{index + 1}): delete the one that was pasted in."
                )
    originals = tuple(index for index, name in enumerate(names) if not (ours and name in _ADDED))
    roles, told, unmapped = _told(names, originals, mapping)
    problems += unmapped
    rungs = dict.fromkeys(roles.values(), Rung.TOLD)
    found: dict[Role, list[int]] = {}
    for index in originals:
        meant = _rung_of(names[index], own)
        if meant is not None and meant[0] not in told and index not in rungs:
            found.setdefault(meant[0], []).append(index)
            rungs[index] = meant[1]
    for role, indexes in found.items():
        if len(indexes) > 1:
            problems.append(_several(role, indexes, names))
        else:
            roles[role] = indexes[0]
    if ours:
        roles[Role.REF] = added[REF_COLUMN]
    uncertain = tuple(
        names[index] for index in originals if squeeze(names[index]) in _UNCERTAIN and index not in roles.values()
    )
    known = told | set(found) | set(roles)
    if not known & set(IDENTIFIERS):
        problems.append(_nobody(names, uncertain))
    if problems:
        return problems
    return Columns(
        headers=headers,
        roles=MappingProxyType(dict(sorted(roles.items(), key=lambda item: list(Role).index(item[0])))),
        originals=originals,
        added=MappingProxyType(added),
        ours=ours,
        uncertain=uncertain,
        rungs=MappingProxyType(rungs),
    )


def _told(
    names: Sequence[str], originals: Sequence[int], mapping: Mapping[str, str]
) -> tuple[dict[Role, int], set[Role], list[str]]:
    """(roles that `--map` settles, roles that it names, problems of `--map`)."""
    roles: dict[Role, int] = {}
    told: set[Role] = set()
    problems: list[str] = []
    for word, heading in mapping.items():
        role = _MAP_WORDS.get(squeeze(word))
        if role is None:
            problems.append(f"--map does not know '{word}'. It takes {', '.join(MAPPABLE)}.")
            continue
        if role in told:
            problems.append(f"--map names {role} more than once. Give it one heading.")
            continue
        told.add(role)
        wanted = trim(heading)
        fits = [i for i in originals if names[i] == wanted]
        fits = fits or [i for i in originals if squeeze(wanted) and squeeze(names[i]) == squeeze(wanted)]
        if not fits:
            problems.append(
                f'--map {role}="{heading}": the file has no such heading. Its headings are {_listed(names, originals)}.'
            )
        elif len(fits) > 1:
            problems.append(
                f'--map {role}="{heading}": {len(fits)} columns bear this heading ({_where(fits)}). '
                "Rename all but one of them in the file."
            )
        elif (other := next((r for r, i in roles.items() if i == fits[0]), None)) is not None:
            problems.append(f"--map gives the column '{heading}' to {other} and to {role}. A column has one role.")
        else:
            roles[role] = fits[0]
    return roles, told, problems


def _several(role: Role, indexes: Sequence[int], names: Sequence[str]) -> str:
    shown = " and ".join(f"'{names[index]}' (column {index + 1})" for index in indexes)
    if len({names[index] for index in indexes}) < len(indexes):
        return f"More than one column could be {role}: {shown}. Rename or delete the one that is not meant."
    return f'More than one column could be {role}: {shown}. Say which with --map {role}="{names[indexes[0]]}".'


def looks_like_data(name: str) -> bool:
    """Whether a cell is no heading: it holds a number or an address."""
    return "@" in name or sum(sign.isdecimal() for sign in name) >= 5


def _nobody(names: Sequence[str], uncertain: Sequence[str]) -> str:
    if any(map(looks_like_data, names)):
        return (
            "No column names the customer, and the first line looks like a row instead of headings: it holds a number "
            "or an address. Put a line with headings above it, such as mobile,series_id,count."
        )
    if uncertain:
        return (
            f"No column names the customer for certain. '{uncertain[0]}' may be the id of another system: if it is the "
            f'externalId, say so with --map externalId="{uncertain[0]}"; otherwise add a column mobile, email or '
            "externalId."
        )
    return (
        "No column names the customer (mobile, email or externalId). The headings are "
        f'{_listed(names, range(len(names)))}. Say which is which, for example --map mobile="Heading".'
    )


def _listed(names: Sequence[str], indexes: Sequence[int]) -> str:
    # A heading that looks like data may be a customer's, who is never named in a message.
    shown = [
        "(a number or an address)" if looks_like_data(names[index]) else f"'{names[index]}'"
        for index in indexes
        if names[index]
    ]
    return ", ".join(shown) if shown else "all blank"


def _where(indexes: Sequence[int]) -> str:
    return ", ".join(f"column {index + 1}" for index in indexes)
