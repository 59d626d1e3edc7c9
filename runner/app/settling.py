"""What settles doubts outside a live run: before every run of the org, by `reconcile`, by a person's `resolve`."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runner.adapters.ledger.doubts import (
    DoubtfulScope,
    OpenCall,
    doubtful_scopes,
    doubts_of,
    find_call,
    record_finding,
    runs_of_call,
    scopes_to_read_again,
)
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.locks import ScopeLock
from runner.adapters.ledger.recovery import recover_scope
from runner.adapters.ledger.reports import RunReader
from runner.adapters.ledger.runs import UNFINISHED, RunFacts, add_override, count_run, find_run
from runner.adapters.ledger.scopes import Org, find_org, scope_of
from runner.adapters.report_files import write_reports
from runner.app.continuity import check_history
from runner.app.conversation import Conversation, Request
from runner.app.loading import override
from runner.app.org_checks import check_same_org
from runner.app.place import (
    Api,
    api_of,
    code_table,
    open_api,
    open_ledger,
    open_org,
    owner_of_process,
    pace_of,
    place_of,
)
from runner.app.reading import ApiReader
from runner.app.reconciling import Settled, Settling, rules_of
from runner.app.running import folder_of, workbooks_of
from runner.core.coupon_reads import Unread
from runner.core.model import CallState, CodeClass, Coupon, Outcome, Reason, Source
from runner.core.model import Scope as Concerns
from runner.core.reconciling import Method, contradiction
from runner.core.reporting import RESOLVE_COLUMNS
from runner.core.wording import counted
from runner.errors import InputRefused, LockHeld, UsageError
from runner.ports import Clock
from runner.settings import Options

if TYPE_CHECKING:
    from runner.adapters.coupon_api import CouponApi

WORD = "person"
"""Pseudo-code of a call that a person settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What `reconcile` did. `busy`: campaigns that another process holds, with who. `resumable`: runs with a rest.

    `written`: runs whose reports were written again.
    """

    settled: Settled
    busy: tuple[str, ...]
    resumable: tuple[str, ...]
    written: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is in doubt any more, 5 when something is, 7 when all that is belongs to live runs."""
        if self.settled.open:
            return 5
        return 7 if self.busy and not self.settled.accounts else 0


def settle_before_run(
    ledger: LedgerFile, org: Org, own: int | None, api: Api, options: Options, clock: Clock, note: Callable[[str], None]
) -> None:
    """Before anything is planned: read what is in doubt in every campaign of the org whose lock is free.

    Args:
        own: the campaign whose lock the caller holds, once it is known.
    """
    with ExitStack() as stack:
        scopes, busy = _locked(stack, ledger, org, doubtful_scopes(ledger, org.id), own, clock)
        for sentence in busy:
            note(sentence)
        doubts = sum(len(doubts_of(ledger, scope)) for scope in scopes)
        if not doubts:
            return
        note(f"first {'the call' if doubts == 1 else f'the {doubts:,} calls'} in doubt from earlier: reading the API")
        settled = asyncio.run(_settle(ledger, scopes, api, options, clock, note))
        note(settled.sentence())


def reconcile(name: str | None, request: Request, *, clock: Clock, conversation: Conversation) -> Reconciled:
    """Read what is in doubt of one run, or of every campaign of the org, and write the reports concerned again.

    Raises:
        UsageError: no such run. LockHeld: another process holds the run's campaign.
    """
    options = request.options
    place = place_of(options, request.environment, run=name)
    with ExitStack() as stack:
        ledger = open_ledger(place, clock)
        run = _run_of(ledger, name) if name is not None else None
        org = find_org(ledger, run.org) if run is not None else open_org(ledger, options)
        assert org is not None  # noqa: S101 - a run has one
        check_history(ledger, org.key, Path(run.out) if run is not None else options.out)
        api = stack.enter_context(api_of(options, place, request.environment))
        check_same_org(ledger, org, scope_of(ledger, run.scope_id) if run is not None else None, api, options)
        if run is not None:
            stack.enter_context(_lock(ledger, run, clock))
            recover_scope(ledger, run.scope_id)
            scopes, busy = [run.scope_id], list[str]()
        else:
            again = scopes_to_read_again(ledger, org.id, since=clock.wall() - options.settle_again)
            concerned = {scope.id: scope for scope in (*again, *doubtful_scopes(ledger, org.id))}
            scopes, busy = _locked(stack, ledger, org, list(concerned.values()), None, clock)
        for sentence in busy:
            conversation.note(sentence)
        settled = asyncio.run(_settle(ledger, scopes, api, options, clock, conversation.note, run=run, wait=True))
        written, resumable = _write_again(ledger, [account.call for account in settled.accounts.values()], options)
        return Reconciled(settled=settled, busy=tuple(busy), resumable=resumable, written=written)


async def _settle(
    ledger: LedgerFile,
    scopes: Sequence[int],
    api: Api,
    options: Options,
    clock: Clock,
    note: Callable[[str], None],
    *,
    run: RunFacts | None = None,
    wait: bool = False,
) -> Settled:
    async with open_api(options, api) as coupon_api:
        settling = _settling(ledger, coupon_api, api, options, clock, note)
        settled = await settling.settle(
            scopes, run=run.id if run is not None else None, wait_seconds=options.settle_wait if wait else 0.0
        )
        for account in await settling.read_again(scopes, since=clock.wall() - options.settle_again):
            settled.accounts[account.call.key] = account
        return settled


def _settling(
    ledger: LedgerFile, coupon_api: CouponApi, api: Api, options: Options, clock: Clock, note: Callable[[str], None]
) -> Settling:
    pace = pace_of(options, api, clock, note)
    url = "" if ledger.rehearsal else api.url
    return Settling(ledger, ApiReader(coupon_api, pace, clock), url=url, rules=rules_of(options), note=note)


def _locked(
    stack: ExitStack,
    ledger: LedgerFile,
    org: Org,
    doubtful: Sequence[DoubtfulScope],
    own: int | None,
    clock: Clock,
) -> tuple[list[int], list[str]]:
    """The campaigns whose locks are free, now held by `stack`, and a sentence for each that is busy."""
    scopes, busy = [], []
    for scope in doubtful:
        if scope.id != own:
            try:
                stack.enter_context(
                    ScopeLock.acquire(
                        ledger.path, org=org.key, campaign=scope.key, shown=scope.campaign, wall=clock.wall
                    )
                )
            except LockHeld as held:
                calls = counted(scope.calls, "unsettled call")
                theirs = "is left to its owner" if scope.calls == 1 else "are left to their owner"
                busy.append(f"{calls} of {scope.campaign} {theirs}. {held.message}")
                continue
        recover_scope(ledger, scope.id)
        scopes.append(scope.id)
    return scopes, busy


def _lock(ledger: LedgerFile, run: RunFacts, clock: Clock) -> ScopeLock:
    return ScopeLock.acquire(
        ledger.path, org=run.org_key, campaign=run.campaign_key, run=run.name, shown=run.campaign, wall=clock.wall
    )


def _run_of(ledger: LedgerFile, name: str) -> RunFacts:
    run = find_run(ledger, name)
    if run is None:
        raise UsageError(f"The ledger knows no run {name!r}.", next_command="coupon-runner runs")
    return run


def _write_again(
    ledger: LedgerFile, calls: Sequence[OpenCall], options: Options
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the reports of every run that tells of these calls again; their names, and those that can be resumed."""
    names = {name: None for call in calls for name in runs_of_call(ledger, call)}
    codes = code_table(options)
    resumable = []
    for name in names:
        with RunReader(ledger, name) as reader:
            run = _run_of(ledger, name)
            write_reports(reader, folder_of(run), advise=codes.advice, workbooks=workbooks_of(options, codes))
            if run.state in UNFINISHED and count_run(ledger, run.id).open_orders:
                resumable.append(name)
    return tuple(names), tuple(resumable)


# ── a person's word ──────────────────────────────────────────────────────────────────────────────────────────────────


class Word(NamedTuple):
    """What a person says of a call: how many coupons it issued, and how they know."""

    call: str
    issued: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What `resolve` did: the calls with the word of each, and what the API showed of them beforehand."""

    words: tuple[tuple[OpenCall, Word, str], ...]
    resumable: tuple[str, ...]
    written: tuple[str, ...]


def read_words(path: Path) -> list[Word]:
    """The lines of an in_doubt file in which a person filled in `resolve_issued` and `resolve_why`.

    Raises:
        InputRefused: with every problem of the file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lines = list(reader)
            headings = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputRefused(f"{path} cannot be read: {error}. Give in_doubt.csv of the run as CSV (UTF-8).") from None
    issued_column, why_column = RESOLVE_COLUMNS
    lacking = [name for name in ("call_key", issued_column, why_column) if name not in headings]
    if lacking:
        raise InputRefused(f"{path} has no column {', '.join(lacking)}: fill in in_doubt.csv as the run wrote it.")
    words, problems = [], []
    for number, line in enumerate(lines, start=2):
        issued, why = (line.get(issued_column) or "").strip(), (line.get(why_column) or "").strip()
        if not issued and not why:
            continue
        if not (issued.isascii() and issued.isdigit()):
            problems.append(f"row {number}, {issued_column}: {issued!r} is not a number of coupons (0 for none)")
        elif not why:
            problems.append(f"row {number}, {why_column}: say how you know")
        else:
            words.append(Word((line.get("call_key") or "").strip(), int(issued), why))
    if problems:
        raise InputRefused(f"{path} was not used:\n" + "\n".join(problems))
    if not words:
        raise InputRefused(f"{path} settles nothing: fill in {issued_column} and {why_column} of the calls you know.")
    return words


def resolve(
    name: str, words: Sequence[Word], request: Request, *, clock: Clock, conversation: Conversation
) -> Resolved:
    """Settle calls of a run by a person's word. All or none: nothing is recorded while one of them is refused.

    What the API shows is read first and said; a word that it contradicts is refused.

    Raises:
        UsageError: no such run or call, a call that is not in doubt, more or fewer coupons than it can have issued.
        InputRefused: the API shows something else, or cannot be read just now. LockHeld: the campaign is being run.
    """
    options = request.options
    place = place_of(options, request.environment, run=name)
    with ExitStack() as stack:
        ledger = open_ledger(place, clock)
        run = _run_of(ledger, name)
        check_history(ledger, run.org_key, Path(run.out))
        api = stack.enter_context(api_of(options, place, request.environment))
        check_same_org(ledger, _org_of(ledger, run), scope_of(ledger, run.scope_id), api, options)
        stack.enter_context(_lock(ledger, run, clock))
        recover_scope(ledger, run.scope_id)
        calls = _calls_of(ledger, run, words)
        looked = asyncio.run(_look(ledger, calls, words, api, options, clock, conversation.note))
        refused = [problem for _, _, problem in looked if problem]
        if refused:
            raise InputRefused("Nothing was settled:\n" + "\n".join(refused))
        told = []
        for call, word, (coupons, showed, _) in zip(calls, words, looked, strict=True):
            untold = word.issued - call.doubt.known - len(coupons)
            outcome = _outcome_of(word, (*coupons, *[Coupon("", "")] * untold), call)
            record_finding(
                ledger, call, outcome, source=Source.PERSON, method=Method.WORD.value, why=word.why,
                seen={"shown": showed}, at=clock.wall(), who=owner_of_process(),
            )  # fmt: skip
            told.append((call, word, showed))
        add_override(ledger, run, {**override("resolve", clock), "calls": len(told)}, at=clock.wall())
        written, resumable = _write_again(ledger, calls, options)
        return Resolved(words=tuple(told), resumable=resumable, written=written)


def _org_of(ledger: LedgerFile, run: RunFacts) -> Org:
    org = find_org(ledger, run.org)
    assert org is not None  # noqa: S101 - a run has one
    return org


def _calls_of(ledger: LedgerFile, run: RunFacts, words: Sequence[Word]) -> list[OpenCall]:
    """The calls that the words are about.

    Raises:
        UsageError: every problem of them.
    """
    calls, problems = [], []
    twice = [key for key, count in Counter(word.call for word in words).items() if count > 1]
    problems += [f"call {key}: it is named twice" for key in twice]
    for word in words:
        call = find_call(ledger, word.call)
        if call is None or call.scope != run.scope_id:
            problems.append(f"call {word.call}: no call of {run.name} has this key")
            continue
        most, least = call.doubt.quantity, call.doubt.known
        if call.state is not CallState.IN_DOUBT:
            problems.append(f"call {word.call}: it is not in doubt but {call.state.value}")
        elif not least <= word.issued <= most:
            known = f", and is known to have issued {least}" if least else ""
            problems.append(f"call {word.call}: {word.issued} cannot be right: it asked for {most}{known}")
        calls.append(call)
    if problems:
        raise UsageError("Nothing was settled:\n" + "\n".join(problems), next_command=f"coupon-runner show {run.name}")
    return calls


async def _look(
    ledger: LedgerFile,
    calls: Sequence[OpenCall],
    words: Sequence[Word],
    api: Api,
    options: Options,
    clock: Clock,
    note: Callable[[str], None],
) -> list[tuple[tuple[Coupon, ...], str, str]]:
    """What the API shows of each call: coupons of it, a sentence, and why the word is refused ("" when it is not)."""
    looked: list[tuple[tuple[Coupon, ...], str, str]] = []
    async with open_api(options, api) as coupon_api:
        settling = _settling(ledger, coupon_api, api, options, clock, note)
        for call, word in zip(calls, words, strict=True):
            seen = await settling.look(call)
            if isinstance(seen, Unread):
                note(f"call {call.key}: {seen.problem}")
                again = f"call {call.key}: the API cannot be read just now ({seen.problem}): try again later"
                # Who has no access to the reads at all is left with what they know; that nothing was seen is recorded.
                looked.append(((), f"not read: {seen.problem}", "" if seen.for_all or word.issued else again))
                continue
            finding, unexplained = seen
            note(f"call {call.key}: {finding.why}")
            new = finding.coupons
            if not new and len(unexplained) == word.issued - call.doubt.known:
                new = tuple(Coupon(one.id, one.code) for one in unexplained)
            shown = call.doubt.known + len(finding.coupons)
            refused = contradiction(call.key, word.issued, shown=shown, unexplained=unexplained)
            looked.append((new, finding.why, refused))
    return looked


def _outcome_of(word: Word, coupons: tuple[Coupon, ...], call: OpenCall) -> Outcome:
    reason = None
    if word.issued < call.doubt.quantity:
        reason = Reason(code=WORD, message=word.why, klass=CodeClass.RETRY, scope=Concerns.CUSTOMER)
    state = CallState.ISSUED if word.issued else CallState.REFUSED
    return Outcome(state=state, coupons=coupons, reason=reason, codes=(WORD,) if reason is not None else ())
