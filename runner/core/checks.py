"""What `doctor` concludes: from what was seen of ledger, disk, clock and API to ok, warn or fail, with a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

from runner.core.answer import one_line, read_answer
from runner.core.model import Exchange
from runner.core.mounts import Mount, Risk, risk_of
from runner.core.wording import counted

SKEW_SECONDS = 60.0
"""A clock that is off by more is worth a warning: dates of jobs and times of calls would be wrong."""

LEAST_BYTES = 100 * 1024**2
LITTLE_BYTES = 1024**3
"""Under the first nothing should be begun; under the second a large run may fill the disk."""


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """One line of `doctor`. `remedy`: what to do, "" when nothing is to be done. `command`: to be run for it."""

    name: str
    level: Level
    says: str
    remedy: str = ""
    command: str = ""


_RISKS = {
    Risk.NETWORK: (
        Level.FAIL,
        "lies on a network file system ({kind}), whose locks cannot be trusted: two machines could issue one coupon",
        "Move the ledger and its key to a local disk and name it with --ledger; run on one machine only.",
    ),
    Risk.SHARED: (
        Level.WARN,
        "lies on a file system that another program or machine provides ({kind}): its locks may not hold",
        "Move the ledger to a local disk, unless you know that locks and syncing work there.",
    ),
    Risk.MEMORY: (
        Level.FAIL,
        "lies in memory ({kind}): at the next restart it is gone, and what was issued would be issued again",
        "Move the ledger to a disk and name it with --ledger.",
    ),
    Risk.CONTAINER: (
        Level.WARN,
        "lies in a container's own layer ({kind}): removed with it, and what was issued would be issued again",
        "Mount a volume of a local disk for the folders of state and settings (XDG_STATE_HOME, XDG_CONFIG_HOME).",
    ),
    Risk.CLEANED: (
        Level.WARN,
        "lies in a folder for temporary files, which the system may clean: what was issued would be issued again",
        "Move the ledger to a lasting folder and name it with --ledger.",
    ),
    Risk.READ_ONLY: (
        Level.FAIL,
        "lies on a file system that cannot be written ({kind})",
        "Move the ledger to a local disk that can be written, and name it with --ledger.",
    ),
}


def check_mount(path: str, mount: Mount | None, *, rehearsal: bool = False) -> Check:
    """Whether the ledger's file system keeps what is written. `path`: absolute, without links.

    `rehearsal`: nothing in the ledger has to last.
    """
    risk = risk_of(path, mount)
    kind = mount.kind if mount is not None else "unknown"
    if risk is not None and not (rehearsal and risk in (Risk.MEMORY, Risk.CONTAINER, Risk.CLEANED)):
        level, says, remedy = _RISKS[risk]
        return Check("file system", level, f"{path} {says.format(kind=kind)}", remedy)
    if mount is None:
        return Check("file system", Level.OK, "not told by this system: keep the ledger on a local disk")
    return Check("file system", Level.OK, f"a local one ({kind} at {mount.point})")


def split_message(message: str) -> tuple[str, str]:
    """What is wrong and what to do about it: the first sentence of a message, and the others."""
    says, stop, remedy = message.partition(". ")
    return says.rstrip("."), remedy if stop else ""


def check_space(name: str, folder: str, free: int | None) -> Check:
    """Whether there is room. `free`: bytes that this user may fill; None when it cannot be told."""
    if free is None:
        return Check(
            name, Level.FAIL, f"{folder} is not there or cannot be read", "Create it, or give yourself rights."
        )
    room = (
        f"{free / 1024**3:,.1f} GB free at {folder}" if free >= LITTLE_BYTES else f"{free >> 20:,} MB free at {folder}"
    )
    if free < LEAST_BYTES:
        return Check(
            name, Level.FAIL, f"only {room}", "Free some space before anything is run: a full disk stops a run."
        )
    if free < LITTLE_BYTES:
        return Check(name, Level.WARN, f"only {room}", "Free some space before a large run.")
    return Check(name, Level.OK, room)


class Rights(NamedTuple):
    """Who may use a file or folder. `open_to`: others than its owner who may, "" when nobody else may."""

    what: str
    path: str
    writable: bool
    open_to: str


def check_rights(seen: Sequence[Rights]) -> Check:
    """Whether we may write what we must, and nobody else may read what holds customers."""
    locked = [one for one in seen if not one.writable]
    if locked:
        names = ", ".join(f"{one.what} {one.path}" for one in locked)
        return Check("rights", Level.FAIL, f"cannot be written: {names}", "Give your user the right to write there.")
    wide = [one for one in seen if one.open_to]
    if wide:
        names = ", ".join(f"{one.what} {one.path} ({one.open_to})" for one in wide)
        paths = " ".join(f"'{one.path}'" for one in wide)
        return Check("rights", Level.WARN, f"open to others than you: {names}", f"Close them: chmod go= {paths}")
    return Check("rights", Level.OK, "yours alone, and you may write")


_NO_ANSWER = {
    "dns": ("the name {host} is not known here", "Check the address, and this machine's DNS and network."),
    "tls": (
        "{host} answers, but its certificate is not trusted",
        "Check the clock, a proxy that inspects traffic, and SSL_CERT_FILE; never switch the check off.",
    ),
    "refused": ("{host} refuses the connection", "Check address and port, the proxy (HTTPS_PROXY) and the firewall."),
    "timeout": ("{host} does not answer in time", "Check the network, the proxy (HTTPS_PROXY) and the firewall."),
    "reset": ("{host} breaks the connection off", "Check the proxy (HTTPS_PROXY), the firewall and the address."),
    "protocol": ("{host} answers, but not by HTTP", "Check address and port."),
}


def check_reach(host: str, exchange: Exchange) -> Check:
    """Whether the API's host can be reached: its name, TLS, and any answer by HTTP, whatever it says."""
    if exchange.status is not None:
        milliseconds = f"{exchange.seconds * 1000:,.0f} ms"
        return Check("reach", Level.OK, f"{host} answers by HTTP ({exchange.status}) in {milliseconds}")
    says, remedy = _NO_ANSWER.get(exchange.failure or "", ("{host} gives no answer", "Check address and network."))
    detail = f" ({exchange.detail})" if exchange.detail else ""
    return Check("reach", Level.FAIL, says.format(host=host) + detail, remedy)


def check_clock(exchange: Exchange, wall: float) -> Check:
    """Whether this machine's clock agrees with the API's. `wall`: when the answer had come, in seconds since 1970."""
    remedy = "Set the clock by the network: timedatectl set-ntp true (Linux), or the system's settings for the time."
    told = exchange.headers.get("date", "")
    try:
        theirs = parsedate_to_datetime(told).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        if exchange.status is None:
            return Check("clock", Level.WARN, "not compared, since the API gave no answer", "Mend the reach first.")
        return Check("clock", Level.WARN, "not compared, since the answer tells no time", remedy)
    ahead = wall - exchange.seconds / 2 - theirs
    if abs(ahead) <= SKEW_SECONDS:
        return Check("clock", Level.OK, "agrees with the API's to the minute")
    direction = "ahead of" if ahead > 0 else "behind"
    return Check("clock", Level.WARN, f"{counted(round(abs(ahead)), 'second')} {direction} the API's", remedy)


_CREDENTIALS_REMEDY = "Check user and password, or key and secret, and that they belong to this address."
_REFUSED = frozenset({"401", "498", "320001"})
_NO_ACCESS = frozenset({"403", "4000"})


def check_answer(exchange: Exchange) -> Check:
    """What the answer to a read under these credentials says of them."""
    name = "credentials"
    if exchange.status is None or not exchange.complete:
        why = exchange.detail or exchange.failure or "no answer"
        return Check(name, Level.FAIL, f"not tried: no whole answer came ({why})", "Mend the reach, then try again.")
    answer = read_answer(exchange.body, exchange.headers)
    entries = (*answer.errors, *answer.warnings, *answer.general) if answer is not None else ()
    codes = {entry.code for entry in entries if entry.code}
    message = next((one_line(entry.message) for entry in entries if entry.message), "")
    said = f"HTTP {exchange.status}" + (f", {', '.join(sorted(codes))}" if codes else "")
    said += f": {message}" if message else ""
    status = exchange.status
    if status in (401, 498) or codes & _REFUSED:
        return Check(name, Level.FAIL, f"the API refuses them ({said})", _CREDENTIALS_REMEDY)
    if status == 403 or codes & _NO_ACCESS:
        remedy = "Ask whoever gave them for the right to read series and to issue coupons."
        return Check(name, Level.WARN, f"the API knows them, but does not let them read series ({said})", remedy)
    if status == 429:
        return Check(name, Level.WARN, f"not tried: the key's calls are used up just now ({said})", "Try in a minute.")
    if status >= 500:
        return Check(name, Level.FAIL, f"not tried: the API is not well ({said})", "Try again later.")
    if status >= 300 and (status < 400 or status in (404, 405, 410)):
        remedy = "Check the API address: it is the host alone, such as https://eu.api.capillarytech.com"
        return Check(name, Level.FAIL, f"this address is not the API's ({said})", remedy)
    if answer is None:
        remedy = "Check the API address, and whether a proxy or a sign-in page answers in its place."
        return Check(name, Level.FAIL, f"what answers is not the API: no JSON came ({said})", remedy)
    return Check(name, Level.OK, "accepted: a GET of series was answered")


def exit_of(checks: Sequence[Check]) -> int:
    """0 when nothing fails, 2 when something does."""
    return 2 if any(check.level is Level.FAIL for check in checks) else 0
