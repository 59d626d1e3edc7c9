"""The pace of a key is shared through a small file: nothing in it is locked, lost or believed too long."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.adapters.ledger.locks import try_lock, unlock
from runner.adapters.ledger.pace_file import PaceFile, pace_path, process_alive, why_unusable
from runner.core.pacing import PaceState, Rate, Slots, Wait
from runner.errors import Fatal
from runner.pace import Pace
from tests.fakes.virtual_clock import VirtualClock, run_virtually

RATE = Rate(60, 60.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pace_path(tmp_path / "pace", host="eu.api.example.com", fingerprint="0123456789ab")


def take(name: str, now: float, rate: Rate = RATE) -> Callable[[PaceState], Slots | Wait]:
    """One slot for a process of that name."""

    def work(state: PaceState) -> Slots | Wait:
        state.join(name, now, rate, pid=os.getpid())
        return state.take(name, now)

    return work


def file_at(path: Path, now: float, *, wall: float | None = None, boot: str = "boot 1") -> PaceFile:
    """The file as a process sees it that opens it at this moment."""
    return PaceFile(path, now=lambda: now, wall=lambda: now if wall is None else wall, boot=boot, alive=lambda _: True)


def test_each_key_at_each_host_has_a_file(tmp_path: Path) -> None:
    """Neither the host nor the fingerprint can be read from its name."""
    paths = {
        pace_path(tmp_path, host=host, fingerprint=key)
        for host in ("a.example.com", "b.example.com")
        for key in ("0123456789ab", "ba9876543210")
    }
    assert len(paths) == 4
    assert all(one.parent == tmp_path and "example" not in one.name for one in paths)


def test_the_file_is_for_its_owner_only_and_never_grows_while_it_is_used(path: Path) -> None:
    """A disk that fills up stops nobody's pace."""
    file = file_at(path, 1000.0)
    file.change(take("a", 1000.0))
    size = path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for number in range(8):
        file.change(take(f"process {number}", 1000.0))
    assert path.stat().st_size == size


def test_a_slot_that_one_process_took_is_not_given_to_another(path: Path) -> None:
    """The second one waits for the gap, whoever it is."""
    assert isinstance(file_at(path, 1000.0).change(take("a", 1000.0)), tuple)
    got = file_at(path, 1000.1).change(take("b", 1000.1))
    assert got is not None
    assert isinstance(got[0], Wait)
    assert got[0].until == pytest.approx(1001.0, abs=0.05)


def test_while_another_process_is_at_it_nothing_is_done(path: Path) -> None:
    """Nobody waits inside; a moment later it goes."""
    file = file_at(path, 1000.0)
    file.change(take("a", 1000.0))
    descriptor = os.open(path, os.O_RDWR)
    assert try_lock(descriptor, shared=False)
    assert file.change(take("a", 1010.0)) is None
    unlock(descriptor)
    assert file.change(take("a", 1010.0)) is not None
    os.close(descriptor)


def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    """Killed while it changes the file: whoever comes next finds it as it was."""
    file_at(path, 1000.0).change(take("a", 1000.0))
    script = (
        "import sys, time; from pathlib import Path; from runner.adapters.ledger.pace_file import PaceFile\n"
        "def hang(state): print('in', flush=True); time.sleep(60)\n"
        f"PaceFile(Path({str(path)!r}), now=lambda: 1000.5, wall=lambda: 1000.5, boot='boot 1').change(hang)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        file = file_at(path, 1002.0)
        assert file.change(take("b", 1002.0)) is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        got = file.change(take("b", 1002.0))
    assert got is not None
    assert isinstance(got[0], Slots)


@pytest.mark.parametrize("damage", [b"\0" * 4096, b"{", b"[]", b'{"due": 1e999}', os.urandom(512)])
def test_a_file_that_cannot_be_understood_is_begun_anew_without_a_burst(path: Path, damage: bytes) -> None:
    """The next slot is a gap away, as after any call; an empty file is a key that nobody used yet."""
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    got = file_at(path, 1000.0).change(take("a", 1000.0))
    assert got is not None
    if damage.strip(b"\0"):
        assert isinstance(got[0], Wait)
        assert got[0].until == pytest.approx(1001.0, abs=0.05)
    else:
        assert isinstance(got[0], Slots)


def test_after_a_restart_of_the_machine_the_old_clock_is_not_believed(path: Path) -> None:
    """Its monotonic clock begins anew near zero: nobody waits for hours, and a block lasts for what is left of it."""

    def throttle(state: PaceState) -> None:
        state.join("a", 90_000.0, RATE, pid=1)
        state.throttled(90_000.0, 100.0)

    file_at(path, 90_000.0, wall=5000.0).change(throttle)
    got = file_at(path, 20.0, wall=5060.0, boot="boot 2").change(take("b", 20.0))
    assert got is not None
    assert isinstance(got[0], Wait)
    assert got[0].until == pytest.approx(60.0)


@pytest.mark.parametrize(("now", "wall", "until"), [(1001.5, 1001.5, None), (20.0, 1040.0, None), (20.0, 1000.2, 20.8)])
def test_where_the_system_does_not_tell_its_starts_the_clocks_do(
    path: Path, now: float, wall: float, until: float | None
) -> None:
    """A clock that went back is another start's; what is left of a gap is still waited for."""
    file_at(path, 1000.0, boot="").change(take("a", 1000.0))
    got = file_at(path, now, wall=wall, boot="").change(take("b", now))
    assert got is not None
    if until is None:
        assert isinstance(got[0], Slots)
    else:
        assert isinstance(got[0], Wait)
        assert got[0].until == pytest.approx(until, abs=0.05)


def test_a_clock_that_went_back_without_a_restart_is_not_waited_for(path: Path) -> None:
    """A container with a clock of its own, a machine put back from an image: nobody waits for hours."""
    file_at(path, 90_000.0, wall=5000.0).change(take("a", 90_000.0))
    got = file_at(path, 20.0, wall=5000.3).change(take("b", 20.0))
    assert got is not None
    assert isinstance(got[0], Wait)
    assert got[0].until == pytest.approx(20.7, abs=0.05)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_calendar_that_is_set_changes_nothing(path: Path, jump: float) -> None:
    """A day forward or back: the next slot is a gap after the last, by the clock that nobody sets."""
    file_at(path, 1000.0, wall=5000.0).change(take("a", 1000.0))
    got = file_at(path, 1000.3, wall=5000.3 + jump).change(take("b", 1000.3))
    assert got is not None
    assert isinstance(got[0], Wait)
    assert got[0].until == pytest.approx(1001.0, abs=0.05)


@pytest.mark.parametrize("away", [-86_400.0, 0.0, 86_400.0])
def test_a_restart_with_a_calendar_that_is_wrong_neither_stalls_nor_bursts(path: Path, away: float) -> None:
    """At most a gap is waited for, and after the first slot the next one is a gap away."""
    file_at(path, 90_000.0, wall=5000.0).change(take("a", 90_000.0))
    file = file_at(path, 21.1, wall=5000.0 + away, boot="boot 2")
    got = file.change(take("b", 21.1))
    assert got is not None
    if isinstance(got[0], Wait):
        assert got[0].until <= 21.1 + 1.05
        return
    again = file.change(take("b", 21.1))
    assert again is not None
    assert isinstance(again[0], Wait)


def test_half_a_file_is_begun_anew_without_a_burst(path: Path) -> None:
    """A power cut while it was written."""
    file_at(path, 1000.0).change(take("a", 1000.0))
    whole = path.read_bytes()
    for length in (1, 40, 200):
        path.write_bytes(whole[:length])
        got = file_at(path, 1000.0).change(take("a", 1000.0))
        assert got is not None
        assert isinstance(got[0], Wait)
        assert got[0].until == pytest.approx(1001.0, abs=0.05)


def test_whether_a_pace_can_be_kept_somewhere_is_known_before_it_is(tmp_path: Path) -> None:
    """None where it can, also while another process is at it; else the system's own words."""
    path = tmp_path / "state" / "pace" / "key.pace"
    assert why_unusable(path) is None
    descriptor = os.open(path, os.O_RDWR)
    assert try_lock(descriptor, shared=False)
    assert why_unusable(path) is None
    os.close(descriptor)
    (tmp_path / "file").write_text("in the way")
    assert why_unusable(tmp_path / "file" / "key.pace") == "File exists"


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Which file, what for, what to do; no call goes."""
    (tmp_path / "pace").write_text("in the way")
    path = pace_path(tmp_path / "pace", host="eu.api.example.com", fingerprint="0123456789ab")
    with pytest.raises(Fatal) as failed:
        PaceFile(path).change(take("a", 1000.0))
    assert str(path) in failed.value.message
    assert "exceed the key's limit" in failed.value.message
    assert failed.value.exit_code == 6


def test_the_lower_limit_of_a_process_that_has_died_holds_nobody_up(path: Path) -> None:
    """It is forgotten some seconds later; while it lives, and for a moment after, its limit holds."""
    slow = Rate(6, 60.0)

    def file(now: float, *, lives: bool) -> PaceFile:
        return PaceFile(path, now=lambda: now, wall=lambda: now, boot="boot 1", alive=lambda _: lives)

    file(1000.0, lives=True).change(take("slow", 1000.0, slow))
    got = file(1006.0, lives=True).change(take("fast", 1006.0))
    assert got is not None
    assert isinstance(got[0], Wait)
    got = file(1011.0, lives=False).change(take("fast", 1011.0))
    assert got is not None
    assert isinstance(got[0], Slots)
    assert got[0].gap == pytest.approx(1.0, abs=0.05)


def test_a_process_is_alive_until_it_has_ended() -> None:
    """This one is; one that was waited for is not."""
    assert process_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert not process_alive(process.pid)


def test_two_processes_share_one_pace_through_the_file(path: Path) -> None:
    """Every slot is given once: over half a minute both together use 98 % of the limit, and no more than it."""

    async def scenario(clock: VirtualClock) -> None:
        sent: list[float] = []
        for name in ("a", "b"):
            store = PaceFile(path, now=clock.now, wall=clock.wall, boot="boot 1", alive=lambda _: True)
            pace = Pace(Rate(100, 10.0), clock, store=store, name=name)

            async def work(pace: Pace = pace) -> None:
                while True:
                    pace.sent(await pace.turn())
                    sent.append(clock.now())

            tasks.extend(asyncio.create_task(work()) for _ in range(8))
        await clock.sleep(30.0)
        assert len(sent) >= 0.98 * 300
        ordered = sorted(sent)
        assert all(later - earlier > 10.0 for earlier, later in zip(ordered, ordered[100:], strict=False))

    tasks: list[asyncio.Task[None]] = []
    run_virtually(scenario)
