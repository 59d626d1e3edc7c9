"""The canary: the first orders of a run are sent alone, read back from the API and compared before any other goes."""

from __future__ import annotations

import asyncio
import signal

from runner import retrying
from runner.adapters.ledger.canary import first_orders, is_same_person, read_sent, tried_orders
from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.runs import RunFacts, count_run
from runner.app.conversation import Conversation
from runner.app.driving import drive
from runner.app.guarding import End, bounds_of
from runner.app.place import Api, open_api, pace_of
from runner.app.reading import ApiReader
from runner.core.canary import Compared, Sent, Shown, choose, compare
from runner.core.coupon_reads import Unread
from runner.core.wording import counted
from runner.ports import Clock, Progress
from runner.settings import Options
from runner.waiting import Stop, StopKind

_FIRST_WAIT_SECONDS = 0.5
_MOST_WAIT_SECONDS = 8.0


class Canary:
    """The canary of one execution. A run that has sent more orders than the canary has is past it."""

    def __init__(
        self,
        ledger: LedgerFile,
        run: RunFacts,
        options: Options,
        api: Api,
        clock: Clock,
        progress: Progress,
        conversation: Conversation,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._options = options
        self._api = api
        self._clock = clock
        self._progress = progress
        self._talk = conversation

    def send(self, signals: list[int], end: End | None) -> tuple[Stop | None, Options]:
        """Send, read back, compare, ask; why the run stops (None: it goes on), and its options after that.

        Args:
            signals: those that came are added.
        """
        number = self._options.canary or 0
        tried = tried_orders(self._ledger, self._run.id, number + 1)
        if len(tried) > number:
            return None, self._options
        fresh = self._choose(number - len(tried), tried)
        begun = sum(map(len, fresh.values()))
        orders = sorted({*tried, *(order for chosen in fresh.values() for order in chosen)})
        stop = None
        if only := self._with_open_of(tried, fresh):
            self._progress.say(f"canary: {counted(len(orders), 'order')} first")
            stop = drive(
                self._ledger,
                self._run,
                options=self._options,
                api=self._api,
                clock=self._clock,
                progress=self._progress,
                signals=signals,
                end=end,
                only=only,
            )
        options = self._options
        stop = stop or self._judge(orders, signals)
        if stop is None and options.limit is not None:
            if begun >= options.limit and count_run(self._ledger, self._run.id).open_orders:
                return _limit_reached(options.limit), options
            options = options.model_copy(update={"limit": max(1, options.limit - begun)})
        return stop, options

    def _choose(self, number: int, tried: list[int]) -> dict[int, frozenset[int]]:
        """Orders that were not sent yet, spread over the series."""
        if self._options.limit is not None:
            number = min(number, self._options.limit)
        left_out = set(bounds_of(self._ledger, self._run, self._options).left_out.ids)
        found = first_orders(self._ledger, self._run.id, number, but=left_out | set(tried)) if number else {}
        met = {sent.series for sent in read_sent(self._ledger, self._run.id, tried)}
        return choose(found, number, met=met)

    def _with_open_of(self, tried: list[int], fresh: dict[int, frozenset[int]]) -> dict[int, frozenset[int]]:
        """Those of an earlier execution go on with them, where they still miss something."""
        only = dict(fresh)
        for sent in read_sent(self._ledger, self._run.id, tried):
            if len(sent.coupons) + sent.held < sent.asked:
                only[sent.series] = only.get(sent.series, frozenset()) | {sent.order}
        return only

    # ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, orders: list[int], signals: list[int]) -> Stop | None:
        sent = read_sent(self._ledger, self._run.id, orders)
        self._progress.say("canary: reading back what was issued")
        try:
            told = asyncio.run(self._read_back([one for one in sent if one.coupons or one.held]))
        except BaseException as interruption:
            if (stop := _interrupted(interruption, signals)) is None:
                raise
            return stop
        words = "\n".join(["canary:", *(f"  {one.words()}" for one in sent)])
        coupons = sum(len(one.coupons) for one in sent)
        if isinstance(told, Unread):
            return self._not_read(words, told, signals)
        differences = [difference for compared in told for difference in compared.differences]
        differences += [f"{one.row}, series {one.series}: {one.held:,} in doubt" for one in sent if one.held]
        if differences:
            more = f", and {counted(len(differences) - 3, 'difference')} more" if len(differences) > 3 else ""
            shown = "; ".join(differences[:3])
            message = f"the canary shows something else than was recorded: {shown}{more} (--canary)"
            self._talk.note(words + "".join(f"\n  DIFFERS {one}" for one in differences))
            return _stop(message)
        if not coupons:
            self._talk.note(words)
            why = next((f": {one.code} {one.message}".rstrip() for one in sent if one.code), "")
            return _stop(f"none of the {counted(len(sent), 'order')} of the canary was issued{why} (--canary)")
        proven = sum(compared.proven for compared in told)
        seen = (
            "customer, series, code and call" if proven >= coupons else "customer, series and code (it shows no call)"
        )
        told_words = f"{counted(coupons, 'coupon')} read back: {seen} as recorded"
        self._talk.note(f"{words}\n  {told_words}")
        return self._ask(signals)

    def _not_read(self, words: str, unread: Unread, signals: list[int]) -> Stop | None:
        """Nobody can compare: a person may go on all the same, `--yes` may not."""
        message = f"the canary could not be read back: {unread.problem} (--canary)"
        self._talk.note(f"{words}\n  could not be read back: {unread.problem}")
        if self._talk.present and not self._options.yes:
            return self._ask(signals)
        return _stop(message)

    def _ask(self, signals: list[int]) -> Stop | None:
        """Whoever was not asked agreed before: by `--yes` or a plan code."""
        missing = count_run(self._ledger, self._run.id).missing
        if not missing or not self._talk.present or self._options.yes:
            return None
        try:
            agreed = self._talk.confirm(f"Go on with the other {counted(missing, 'coupon')}?")
        except BaseException as interruption:
            if (stop := _interrupted(interruption, signals)) is None:
                raise
            return stop
        return None if agreed else _stop("stopped after the canary, as answered (--canary)")

    async def _read_back(self, sent: list[Sent]) -> list[Compared] | Unread:
        found = []
        async with open_api(self._options, self._api) as opened:
            reader = ApiReader(opened, pace_of(self._options, self._api, self._clock), self._clock)
            for one in sent:
                first = await self._compare(reader, one)
                _, compared = await retrying.until(
                    lambda one=one: self._compare(reader, one),  # type: ignore[misc]
                    first=first,
                    settled=lambda now: isinstance(now, Unread) or not (now.differences and now.again),
                    wait_seconds=lambda attempt, _: min(_MOST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**attempt),
                    give_up=lambda _, seconds: seconds >= self._options.settle_wait,
                    clock=self._clock,
                )
                if isinstance(compared, Unread):
                    return compared
                found.append(compared)
        return found

    async def _compare(self, reader: ApiReader, sent: Sent) -> Compared | Unread:
        page = await reader.customer_coupons(sent.kind.value, sent.value)
        if isinstance(page, Unread):
            return page
        details, same = None, True
        if page.customer is not None:
            same = is_same_person(self._ledger, self._run.org_id, sent.person, page.customer)
            told = await reader.details(page.customer)
            details = None if isinstance(told, Unread) else told
        return compare(sent, Shown(page, same, details))


def _limit_reached(limit: int) -> Stop:
    return Stop(kind=StopKind.LIMIT, message=f"the limit of {counted(limit, 'order')} is reached (--limit)")


def _stop(message: str) -> Stop:
    return Stop(kind=StopKind.GUARD, message=message, go_on=("--canary", "0"))


def _interrupted(interruption: BaseException, signals: list[int]) -> Stop | None:
    """A signal that came while no call was under way: the run ends as after any other. None: it is no signal."""
    if isinstance(interruption, Exception):
        return None
    number = int(getattr(interruption, "number", signal.SIGINT))
    signals.append(number)
    return Stop(kind=StopKind.REQUESTED, message=f"stopped by {signal.Signals(number).name}")
