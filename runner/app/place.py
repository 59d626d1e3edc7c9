"""Where a command works: which ledger, which org, which API with which credentials; a rehearsal has its own of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runner.adapters.credentials import BasicCredentials, Credentials, OAuthCredentials
from runner.adapters.hosts import check_url, is_loopback
from runner.adapters.ledger.files import LedgerFile, is_rehearsal
from runner.adapters.ledger.locks import ScopeLock, lock_folder
from runner.adapters.ledger.pace_file import PaceFile, pace_path, why_unusable
from runner.adapters.ledger.scopes import Org, create_org, find_org
from runner.core.codes import CodeTable
from runner.errors import NoLedger, SettingsError, UsageError
from runner.pace import Pace
from runner.ports import Clock
from runner.settings import Options, config_folder, secret, state_folder

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

REHEARSAL = "REHEARSAL"
"""What a rehearsal's codes, run ids and folders begin with."""

SANDBOX_ORG = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The ledger that a command uses. `rehearsal`: the embedded sandbox's own."""

    ledger: Path
    keys: Path
    rehearsal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Where calls go and as whom. `fingerprint`: changes when the credentials do.

    `pace_folders`: where the pace of the key is kept, the first that can be used; none: nobody else uses the key.
    """

    url: str
    credentials: Credentials
    fingerprint: str
    pace_folders: tuple[Path, ...] = ()

    @property
    def loopback(self) -> bool:
        """Whether the API is on this machine."""
        return is_loopback(self.url)


def place_of(options: Options, environment: Mapping[str, str], *, run: str | None = None) -> Place:
    """Find the ledger of a command; a run id that begins with REHEARSAL leads to the rehearsals' ledger by itself."""
    rehearsal = options.sandbox or (run is not None and run.startswith(REHEARSAL))
    state = state_folder(environment)
    if options.ledger is not None:
        path = _ledger_path(options.ledger)
    else:
        path = state / "rehearsal" / "ledger.db" if rehearsal else state / "ledger.db"
    keys = path.parent if rehearsal else config_folder(environment)
    return Place(ledger=path, keys=keys, rehearsal=rehearsal)


def _ledger_path(url: str) -> Path:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).expanduser()
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        raise UsageError(f"--ledger {url}: write a path, or sqlite:///relative/path, or sqlite:////absolute/path")
    return Path(rest[1:]).expanduser()


def open_ledger(place: Place, clock: Clock) -> LedgerFile:
    """Open the ledger; only a rehearsal's is created when it is not there.

    Raises:
        NoLedger: a real ledger that is not there.
        UsageError: a rehearsal on a real ledger, or the other way round.
    """
    if place.rehearsal and not place.ledger.exists():
        ledger = LedgerFile.create(place.ledger, key_folder=place.keys, rehearsal=True)
        create_org(ledger, SANDBOX_ORG, at=clock.wall())
        return ledger
    told = is_rehearsal(place.ledger)  # before its key is looked for, which a ledger of the other kind has elsewhere
    if told is not None and told is not place.rehearsal:
        if told:
            raise UsageError(
                f"The ledger {place.ledger} is a rehearsal's: nothing in it was really issued, so it cannot be used"
                " without --sandbox. Name another (--ledger), or add --sandbox to go on rehearsing."
            )
        raise UsageError(
            f"The ledger {place.ledger} is a real organisation's: a rehearsal would mix made-up coupons into it, so it"
            " cannot be used with --sandbox. Leave --ledger out (rehearsals have a ledger of their own), or leave"
            " --sandbox out. Nothing was changed."
        )
    return LedgerFile.open(place.ledger, key_folder=place.keys)


def open_org(ledger: LedgerFile, options: Options) -> Org:
    """The organisation of a command: named, the default one, or the ledger's only one.

    Raises:
        UsageError: none is named. NoLedger: the ledger does not know it.
    """
    name = SANDBOX_ORG if ledger.rehearsal else options.org
    if name is None:
        raise UsageError("Which organisation? Give --org NAME, or make one the default with `coupon-runner init`.")
    org = find_org(ledger, name)
    if org is None:
        raise NoLedger(
            f"The ledger {ledger.path} does not know the organisation {name!r}: its earlier runs would be unknown."
            f" If it has never been run, set it up with: coupon-runner init --org {name}"
        )
    return org


def read_credentials(environment: Mapping[str, str]) -> Credentials:
    """The credentials of the environment: key and secret (OAuth), or user and password (Basic).

    Raises:
        SettingsError: none, half of a pair, or both pairs.
    """
    key, token_secret = secret("API_KEY", environment), secret("API_SECRET", environment)
    user, password = secret("API_USER", environment), secret("API_PASSWORD", environment)
    if (key or token_secret) and (user or password):
        raise SettingsError(
            "Both COUPON_RUNNER_API_KEY/_API_SECRET and COUPON_RUNNER_API_USER/_API_PASSWORD are set; keep one pair."
        )
    if key and token_secret:
        return OAuthCredentials(key, token_secret)
    if user and password:
        return BasicCredentials(user, password)
    missing = "COUPON_RUNNER_API_KEY and _API_SECRET (OAuth), or COUPON_RUNNER_API_USER and _API_PASSWORD (Basic)"
    if key or token_secret:
        missing = "COUPON_RUNNER_API_SECRET" if key else "COUPON_RUNNER_API_KEY"
    elif user or password:
        missing = "COUPON_RUNNER_API_PASSWORD" if user else "COUPON_RUNNER_API_USER"
    raise SettingsError(
        f"No credentials for the API: set {missing}; each may be a file instead, named by …_FILE.",
        again="they are set" if " and " in missing else "it is set",
    )


def real_api(options: Options, environment: Mapping[str, str]) -> Api:
    """The API of a real run.

    Raises:
        SettingsError: no address, an address that credentials may not go to, no credentials.
    """
    if options.api_url is None:
        raise SettingsError(
            "No API address: give --api-url, for example https://eu.api.capillarytech.com, or set it with "
            "`coupon-runner init`."
        )
    url = check_url(options.api_url, options.allowed_hosts)
    credentials = read_credentials(environment)
    folders = (state_folder(environment) / "pace",)
    return Api(url=url, credentials=credentials, fingerprint=credentials.fingerprint(), pace_folders=folders)


def truth_path(place: Place) -> Path:
    """The file of a rehearsal's truth, beside its ledger."""
    return place.ledger.with_name(f"{place.ledger.name}.truth")


@contextmanager
def rehearsal_api(options: Options, place: Place) -> Iterator[Api]:
    """Serve the embedded sandbox for one command. One rehearsal at a time: its truth has one writer.

    Raises:
        LockHeld: another rehearsal is under way. SettingsError: the sandbox's configuration is not valid.
    """
    from runner.sandbox import Sandbox, SandboxConfigError, load_config  # loaded when it is needed

    with ScopeLock.acquire(place.ledger, org=SANDBOX_ORG, campaign="\0rehearsal", shown="rehearsal"):
        if options.fresh:
            _forget_rehearsal(place)
        try:
            config = load_config(options.sandbox_config)
        except SandboxConfigError as error:
            raise SettingsError(str(error)) from None
        with Sandbox(truth_path=truth_path(place), config=config, code_prefix=f"{REHEARSAL}-") as sandbox:
            credentials = BasicCredentials("rehearsal", "rehearsal")
            yield Api(url=sandbox.base_url, credentials=credentials, fingerprint="rehearsal")


@contextmanager
def api_of(options: Options, place: Place, environment: Mapping[str, str]) -> Iterator[Api]:
    """The API that goes with a ledger: the embedded sandbox's with a rehearsal's, else the real one.

    Raises:
        SettingsError, LockHeld: as `real_api` and `rehearsal_api` say.
    """
    if not place.rehearsal:
        yield beside_ledger(real_api(options, environment), place.ledger)
        return
    with rehearsal_api(options, place) as api:
        yield api


def beside_ledger(api: Api, ledger: Path) -> Api:
    """The same for a command that has a ledger: the pace may be kept beside its locks where it cannot be elsewhere."""
    return replace(api, pace_folders=(*api.pace_folders, lock_folder(ledger)))


def _forget_rehearsal(place: Place) -> None:
    """`--fresh`: the rehearsals' ledger and truth begin anew. A real ledger is never touched."""
    if is_rehearsal(place.ledger) is False:
        raise UsageError(f"--fresh clears a rehearsal, but {place.ledger} is a real ledger; nothing was changed.")
    for path in place.ledger.parent.glob(f"{place.ledger.name}*"):
        if path.is_file():
            path.unlink()


def open_api(options: Options, api: Api) -> CouponApi:
    """The adapter for an API; create it within a running event loop and close it."""
    attribution = None
    if options.attribution is not None:
        entity, equals, code = options.attribution.partition("=")
        if not equals:
            raise SettingsError("--attribution: write TYPE=CODE, for example TILL=till.01")
        attribution = (entity.strip(), code.strip())
    from runner.adapters.coupon_api import CouponApi  # as above

    return CouponApi(
        api.url,
        api.credentials,
        allowed_hosts=options.allowed_hosts,
        concurrency=options.concurrency,
        deadline_seconds=options.timeout,
        metadata=options.metadata,
        attribution=attribution,
    )


def pace_of(options: Options, api: Api, clock: Clock, say: Callable[[str], None] | None = None) -> Pace:
    """The pace of the key: shared with every process of this user that uses it. Without a limit, of this one only.

    `say`: told when the limit of another process holds, and when the pace is shared with fewer than it should be.
    """
    rate = options.key_limit(loopback=api.loopback)
    store = _pace_file(api, clock, say) if rate is not None and api.pace_folders else None
    return Pace(rate, clock, store=store, say=say, leave=options.leave_share)


def _pace_file(api: Api, clock: Clock, say: Callable[[str], None] | None) -> PaceFile:
    """In the user's state folder; where nothing can be written there, beside the ledger's locks."""
    host = urlsplit(api.url).netloc.casefold()
    paths = [pace_path(folder, host=host, fingerprint=api.fingerprint) for folder in api.pace_folders]
    problems = {}
    for path in paths:
        if (problem := why_unusable(path)) is None:
            break
        problems[path] = problem
    else:
        path = paths[0]  # whoever uses it first says what is wrong with it
    if problems and path not in problems and say is not None:
        say(
            f"the pace of the key is kept in {path.parent}, since {paths[0].parent} cannot be used"
            f" ({problems[paths[0]]}): runs with another ledger do not share it, and could exceed the limit together"
        )
    return PaceFile(path, now=clock.now, wall=clock.wall)


def code_table(options: Options) -> CodeTable:
    """The table of codes with the configured overrides."""
    return CodeTable.default().with_overrides(options.codes)


def owner_of_process() -> dict[str, object]:
    """Who runs this: for the ledger and for messages."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return {"pid": os.getpid(), "host": socket.gethostname(), "user": user}
