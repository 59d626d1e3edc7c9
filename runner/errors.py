"""The error tree. Every error that a person may see is one of these, and its text is the whole message.

    CouponRunnerError            exit code
    ├── UsageError               2   flags, settings, configuration, a ledger that is not there
    │   ├── SettingsError        2   all problems of settings, environment and flags together
    │   ├── NoLedger             2   a real run without a ledger: earlier runs would be unknown
    │   ├── LedgerVersion        2   an older ledger that cannot migrate now, or a newer one
    │   └── ForeignLedger        2   the key, the reports or the reference belong to another ledger
    ├── InputRefused             3   the file as a whole, an overlap, a stale plan, a "no"
    ├── StillInDoubt             5   calls are in doubt that would have to be settled first
    ├── NotNow                   75  outside the hours in which calls may go
    ├── LockHeld                 7   another process holds the campaign
    └── Fatal                    6   nothing more can be done now
        ├── LedgerFailed         6   disk full, file locked, read-only or damaged
        └── ApiRefusesAll        6   credentials, access, address

A message says what is wrong, where, and what to do. It never holds a secret or a person's identifier.
"""

from __future__ import annotations

from collections.abc import Mapping


class CouponRunnerError(Exception):
    """Anything that ends a command with a sentence instead of a traceback."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        next_command: str | None = None,
        add_flags: tuple[str, ...] = (),
        again: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """`next_command`: to be run next. `add_flags`: or the same command again, with these flags as well.

        `again`: or the same command as it is, once this is true, such as "COUPON_RUNNER_API_KEY is set".
        `details`: what a program is told besides, with `--json`.
        """
        super().__init__(message)
        self.message = message
        self.next_command = next_command
        self.add_flags = add_flags
        self.again = again
        self.details = details or {}


class UsageError(CouponRunnerError):
    """The command cannot start as it was given: correct the flags or settings that the message names."""

    exit_code = 2


class SettingsError(UsageError):
    """Settings, environment and flags have problems; the message lists all of them, one a line."""


class NoLedger(UsageError):
    """There is no ledger for a real organisation; `coupon-runner init` creates it, a run never does."""


class LedgerVersion(UsageError):
    """The ledger's schema or its rules of identity are older or newer than this program's."""


class ForeignLedger(UsageError):
    """A key file, report folder or `_ref` belongs to another ledger than the one in use."""


class InputRefused(CouponRunnerError):
    """Nothing was sent, because of the input as a whole: correct the file or say which choice you make."""

    exit_code = 3


class StillInDoubt(CouponRunnerError):
    """Calls are in doubt that must be settled before this can be done; nothing was changed."""

    exit_code = 5


class LockHeld(CouponRunnerError):
    """Another process holds the campaign; the message says which, on what machine, since when."""

    exit_code = 7


class NotNow(CouponRunnerError):
    """Outside the hours in which calls may go: the same command works later, as it is. Nothing was sent."""

    exit_code = 75


class Fatal(CouponRunnerError):
    """Nothing more can be done until something outside is mended. Whatever was sent is in the ledger."""

    exit_code = 6


class LedgerFailed(Fatal):
    """The ledger could not be read or written: nothing further is sent, nothing that was sent is lost."""


class ApiRefusesAll(Fatal):
    """The API refuses every call alike (credentials, access, address) or cannot be reached."""
