"""Whether the API on the other side is still the one by which an organisation's customers were reached."""

from __future__ import annotations

from collections.abc import Mapping

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts, RunState, set_run_state
from runner.adapters.ledger.scopes import Frozen, Org, Scope, freeze_scope, newest_scope, orgs_reached_by
from runner.app.conversation import Request
from runner.app.loading import override
from runner.app.place import Api, read_credentials
from runner.core.keys import scope_key
from runner.errors import SettingsError, UsageError
from runner.ports import Clock
from runner.settings import Options


def check_run_of_org(run: RunFacts, request: Request, ledger: LedgerFile) -> None:
    """Refuse a run that was named beside another organisation: one of the two is a mistake.

    Raises:
        UsageError: --org names another one than the run's.
    """
    given = request.flags.get("org")
    if given is not None and scope_key(given) != run.org_key and not ledger.rehearsal:
        raise UsageError(f"The run {run.name} is one of {run.org}, not of {given}: correct --org, or leave it out.")


def check_same_org(ledger: LedgerFile, org: Org, scope: Scope | None, api: Api, options: Options) -> bool:
    """Whether `--same-org` was needed.

    The address or the credentials are not those that the org was last reached by.
    """
    if ledger.rehearsal:
        return False
    last = scope if scope is not None and scope.runs else newest_scope(ledger, org)
    if last is None or (last.url == api.url and last.credentials == api.fingerprint):
        return False
    what = [
        word
        for word, changed in (("address", last.url != api.url), ("credentials", last.credentials != api.fingerprint))
        if changed
    ]
    if not options.same_org:
        raise UsageError(
            f"The {' and the '.join(what)} of the API changed since the last run of {org.name} ({last.url} "
            f"before, {api.url} now)."
            " If these are still the same organisation's customers, say so with --same-org; else use another --org."
        )
    return True


def check_same_api(ledger: LedgerFile, org: str, api: Api, options: Options) -> bool:
    """Whether `--same-api` was needed: this API has given another organisation's coupons under these credentials.

    An organisation that was reached by it before has been told apart from the other one already.
    """
    if ledger.rehearsal:
        return False
    return _told_apart(ledger, org, api.url, api.fingerprint, options)


def _told_apart(ledger: LedgerFile, org: str, url: str, fingerprint: str, options: Options) -> bool:
    reached = orgs_reached_by(ledger, url, fingerprint)
    if not reached or scope_key(org) in [one.key for one in reached]:
        return False
    if not options.same_api:
        names = " and ".join(one.name for one in reached)
        raise UsageError(
            f"With these credentials {url} is where the customers of {names} were issued coupons: as {org!r} the same"
            f" people would count anew and could get everything twice. Use --org {reached[0].name}. If {org!r} really"
            " has other customers behind the same credentials, say so with --same-api."
        )
    return True


def check_new_org(ledger: LedgerFile, org: str, url: str, environment: Mapping[str, str], options: Options) -> None:
    """The same, before an organisation is set up; nothing can be told while no credentials are set.

    Raises:
        UsageError: another organisation of the ledger was reached at this address with these credentials.
    """
    try:
        fingerprint = read_credentials(environment).fingerprint()
    except SettingsError:
        return
    _told_apart(ledger, org, url, fingerprint, options)


def record_moved(ledger: LedgerFile, run: RunFacts, org: Org, scope: Scope, api: Api, clock: Clock) -> None:
    """The campaign goes on elsewhere or as somebody else, and a person answers for it with `--same-org`."""
    frozen = Frozen(
        url=api.url,
        credentials=api.fingerprint,
        identity_version=scope.identity_version,
        identify_by=scope.identify_by,
        region=scope.region,
        mapping=scope.mapping,
    )
    freeze_scope(ledger, org, scope.campaign, frozen, at=clock.wall())
    set_run_state(ledger, run, RunState.RUNNING, at=clock.wall(), override=override("same_org", clock))
