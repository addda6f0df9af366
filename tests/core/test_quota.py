from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from tests.core.ledgers import FakeTime, Processes, charged, lease_rows, make_account, set_limits

from homeport.core.count import Count
from homeport.core.errors import HomeUnavailable, LedgerBusy, QuotaExceeded, StateUnavailable
from homeport.core.leases import NOTHING
from homeport.core.ledger_times import LedgerTimes
from homeport.core.quota import Borrowed, Ledger, Recount, Usage
from homeport.core.schema import accounts, leases, processes, usage
from homeport.core.state import Database

ONE = 1


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[Processes]:
    world = Processes(database, tmp_path / "run")
    yield world
    world.close()


@pytest.fixture
def limited(world: Processes) -> int:
    return make_account(world.database, ONE, quota=1000, files=10)


def used_by(ledger: Ledger, account: int = ONE) -> tuple[int, int]:
    found = ledger.usage(account)
    return found.used_bytes, found.used_files


def frozen_by(database: Database) -> str | None:
    with database.read() as connection:
        return connection.scalar(select(usage.c.frozen_by).where(usage.c.account_id == ONE))


def set_frozen(database: Database, by: str | None) -> None:
    with database.write() as connection:
        connection.execute(update(usage).values(frozen_by=by))


# Charges and limits


def test_an_exact_fit_succeeds_and_one_more_fails(world: Processes, limited: int) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        assert ledger.charge(limited, 1000, 10) == NOTHING
        with pytest.raises(QuotaExceeded, match=r"^quota exceeded: 1 more bytes wanted, 0 of 1000 free$"):
            ledger.charge(limited, 1)
        with pytest.raises(QuotaExceeded, match=r"^quota exceeded: 1 more files wanted, 0 of 10 free$"):
            ledger.charge(limited, files=1)
    assert ledger.usage(limited) == Usage(1000, 10, 1000, 10)


@pytest.mark.parametrize(("size", "files"), [(1001, 0), (0, 11), (1001, 11), (500, 11), (1001, 5)])
def test_a_refused_charge_changes_nothing(world: Processes, limited: int, size: int, files: int) -> None:
    ledger = world.start()
    with pytest.raises(QuotaExceeded):
        ledger.charge(limited, size, files)
    assert used_by(ledger) == (0, 0)
    ledger.charge(limited, 1000, 10)
    assert used_by(ledger) == (1000, 10)


def test_without_limits_everything_is_counted(world: Processes) -> None:
    account = make_account(world.database, ONE)
    ledger = world.start()
    ledger.charge(account, 10**15, 10**9)
    ledger.refund(account, 10**14, 1)
    assert ledger.usage(account) == Usage(9 * 10**14, 10**9 - 1, None, None)


def test_refunds_may_be_spent_again(world: Processes, limited: int) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        ledger.charge(limited, 1000, 10)
        ledger.refund(limited, 400, 4)
        ledger.charge(limited, 400, 4)
    assert used_by(ledger) == (1000, 10)


def test_enough_balance_needs_no_database(world: Processes, limited: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        pass
    monkeypatch.setattr(world.database, "write", None)
    monkeypatch.setattr(world.database, "read", None)
    for _ in range(3):
        with ledger.changing(limited):
            ledger.charge(limited, 10, 1)
            ledger.refund(limited, 10, 1)
    monkeypatch.undo()


def test_an_account_over_its_lowered_limit_may_still_shrink(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 1000, 5)
    set_limits(world.database, limited, 100, 10)
    ledger.limits_changed(limited)
    with pytest.raises(QuotaExceeded, match=r"^quota exceeded: 1 more bytes wanted, 0 of 100 free$"):
        ledger.charge(limited, 1)
    ledger.charge(limited, files=1)
    ledger.refund(limited, 950)
    ledger.charge(limited, 50)
    assert ledger.usage(limited) == Usage(100, 6, 100, 10)


@pytest.mark.parametrize(("quota", "fits"), [(500, False), (1000, True), (None, True)])
def test_new_limits_hold_at_once_in_all_processes(
    world: Processes,
    limited: int,
    quota: int | None,
    fits: bool,
) -> None:
    worker, administrator = world.start(), world.start()
    worker.charge(limited, 500)
    set_limits(world.database, limited, quota)
    administrator.limits_changed(limited)
    if fits:
        worker.charge(limited, 500)
    else:
        with pytest.raises(QuotaExceeded):
            worker.charge(limited, 1)


# Borrowing, the room of a file that is being replaced


def test_only_what_the_account_has_no_room_for_is_borrowed(world: Processes, limited: int) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        ledger.charge(limited, 700, 10)
        borrowed = ledger.charge(limited, 600, 1, credit_bytes=700, credit_files=1)
        assert borrowed == Borrowed(300, 1)
        assert used_by(ledger) == (1000, 10)
        ledger.repay(limited, borrowed, refund_bytes=700, refund_files=1)
    assert used_by(ledger) == (600, 10)
    ledger.settle()
    assert charged(world.database, limited) == Count(600, 10)


def test_never_more_is_borrowed_than_the_credit(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 700)
    with pytest.raises(QuotaExceeded, match="301 more bytes wanted, 300 of 1000 free"):
        ledger.charge(limited, 301)
    with pytest.raises(QuotaExceeded):
        ledger.charge(limited, 1001, credit_bytes=700)
    assert ledger.charge(limited, 1000, credit_bytes=700) == Borrowed(700)


def test_repaying_without_a_refund_needs_room(world: Processes, limited: int) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        ledger.charge(limited, 1000)
        borrowed = ledger.charge(limited, 200, credit_bytes=1000)
        with pytest.raises(QuotaExceeded, match="200 more bytes wanted, 0 of 1000 free"):
            ledger.repay(limited, borrowed)
        ledger.refund(limited, 1000)
        ledger.repay(limited, borrowed)
    assert used_by(ledger) == (200, 0)


def test_a_stage_cut_by_what_it_borrowed_repays_it(world: Processes, limited: int) -> None:
    ledger = world.start()
    with ledger.changing(limited):
        ledger.charge(limited, 1000)
        borrowed = ledger.charge(limited, 200, credit_bytes=1000)
        ledger.repay(limited, borrowed, refund_bytes=borrowed.bytes)
    ledger.settle()
    assert charged(world.database, limited) == Count(1000, 0)
    assert lease_rows(world.database) == []


# Room held for later


def test_held_room_is_nobody_elses(world: Processes, limited: int) -> None:
    ledger, other = world.start(), world.start()
    ledger.hold(limited, 600, 1)
    assert used_by(ledger) == (600, 1)
    for process in ledger, other:
        with pytest.raises(QuotaExceeded):
            process.charge(limited, 401)
    ledger.charge(limited, 250, 1, held_bytes=200, held_files=1)
    assert used_by(ledger) == (650, 1)
    ledger.release(limited, 400)
    assert used_by(ledger) == (250, 1)
    other.charge(limited, 750, 9)
    ledger.settle()
    other.settle()
    assert charged(world.database, limited) == Count(1000, 10)
    assert lease_rows(world.database) == []


def test_held_room_outlives_a_recount(world: Processes, limited: int) -> None:
    ledger, other = world.start(), world.start()
    ledger.charge(limited, 100)
    ledger.hold(limited, 600)
    assert other.recount(limited, lambda: Count(100, 1)) == Recount(limited, Count(100, 0), Count(100, 1))
    assert lease_rows(world.database) == [(limited, 600, 0, False)]
    with pytest.raises(QuotaExceeded):
        other.charge(limited, 301)
    ledger.charge(limited, 600, held_bytes=600)
    other.charge(limited, 300)
    assert used_by(ledger) == (1000, 1)


# Between processes


def test_idle_leases_of_others_come_back_when_needed(world: Processes, limited: int) -> None:
    first, second = world.start(), world.start()
    first.charge(limited, 500, 5)
    first.refund(limited, 500, 5)
    second.charge(limited, 1000, 10)
    with pytest.raises(QuotaExceeded):
        first.charge(limited, 1)
    second.refund(limited, 1)
    first.charge(limited, 1)


def test_a_lease_comes_back_while_an_operation_is_inside(world: Processes, limited: int) -> None:
    first, second = world.start(), world.start()
    with first.changing(limited):
        first.charge(limited, 100)
        second.charge(limited, 900)
        with pytest.raises(QuotaExceeded):
            first.charge(limited, 1)


def test_a_process_that_does_not_answer_is_waited_for_and_then_refused(world: Processes, limited: int) -> None:
    silent, other = world.start(), world.start()
    silent.charge(limited, 100)
    world.time.meanwhile = lambda: None
    before = world.time.now
    with pytest.raises(QuotaExceeded):
        other.charge(limited, 900)
    assert 0.2 <= world.time.now - before < 0.21


def test_a_process_that_takes_again_is_asked_again(world: Processes, limited: int) -> None:
    greedy, other = world.start(), world.start()
    greedy.charge(limited, 100)

    def take_again() -> None:
        world.attend()
        if world.time.now < 1000.05:
            greedy.charge(limited, 0, 0)
            greedy.hold(limited, 1)
            greedy.release(limited, 1)

    world.time.meanwhile = take_again
    other.charge(limited, 900)
    assert used_by(other) == (1000, 0)


def test_idle_accounts_are_given_back_whole(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 100)
    with ledger.changing(limited):
        ledger.release_idle()
        ledger.release_idle()
        assert len(lease_rows(world.database)) == 1
    ledger.release_idle()
    assert len(lease_rows(world.database)) == 1
    ledger.release_idle()
    assert lease_rows(world.database) == []
    ledger.release_idle()
    with ledger.changing(limited):
        assert len(lease_rows(world.database)) == 1


def test_closing_gives_everything_back(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 100, 2)
    ledger.close()
    world.living.clear()
    assert (charged(world.database, limited), lease_rows(world.database)) == (Count(100, 2), [])
    with world.database.read() as connection:
        assert connection.execute(select(processes)).all() == []
    assert list(world.folder.iterdir()) == []


def test_a_ledger_that_only_looks_leaves_no_trace(world: Processes, limited: int) -> None:
    ledger = world.start()
    assert ledger.usage(limited) == Usage(0, 0, 1000, 10)
    ledger.settle()
    ledger.close()
    assert not world.folder.exists()


def test_recall_makes_what_others_use_exact(world: Processes, limited: int) -> None:
    worker, viewer = world.start(), world.start()
    with worker.changing(limited):
        worker.charge(limited, 100)
        worker.charge(limited, 20)
        assert viewer.recall(limited)
        assert used_by(viewer) == (120, 0)
    world.living.remove(worker)
    worker.charge(limited, 1)
    assert not viewer.recall(limited)
    world.living.append(worker)
    assert viewer.recall(limited)


# Recounts


def test_a_recount_repairs_a_drift(world: Processes, limited: int) -> None:
    worker, administrator = world.start(), world.start()
    worker.charge(limited, 100, 1)
    recount = administrator.recount(limited, lambda: Count(700, 7))
    assert recount == Recount(limited, Count(100, 1), Count(700, 7))
    assert recount.drift == Count(600, 6)
    with pytest.raises(QuotaExceeded):
        worker.charge(limited, 301)
    worker.charge(limited, 300, 3)
    assert administrator.recount(limited, lambda: Count(1000, 10)).drift == NOTHING


def test_more_than_a_ledger_holds_is_counted_as_all_that_it_holds(world: Processes, limited: int) -> None:
    """Two files of 2^63 bytes with nothing in them: nobody could be recounted any more."""
    worker = world.start()
    assert worker.recount(limited, lambda: Count(2**64, 2)).after == Count(2**64, 2)
    assert used_by(worker, limited) == (2**62, 2)
    with pytest.raises(QuotaExceeded):
        worker.charge(limited, 1)
    worker.refund(limited, 2**62, 1)
    assert worker.recount(limited, lambda: Count(5, 1)).after == Count(5, 1)
    assert used_by(worker, limited) == (5, 1)


def test_a_recount_waits_for_changes_and_stops_new_ones(world: Processes, limited: int) -> None:
    worker, administrator = world.start(), world.start()
    inside = worker.changing(limited)
    inside.__enter__()
    steps: list[str] = []

    def meanwhile() -> None:
        world.attend()
        if not steps:
            worker.charge(limited, 10)  # an operation inside goes on
            steps.append("charged")
        elif world.time.now > 1000.05 and steps == ["charged"]:
            inside.__exit__(None, None, None)
            steps.append("left")

    def count() -> Count:
        world.time.meanwhile = world.attend
        for process in worker, administrator:
            before = world.time.now
            with pytest.raises(LedgerBusy, match="being recounted"):
                process.changing(limited).__enter__()
            assert 0.5 <= world.time.now - before < 0.53
        return Count(10, 0)

    world.time.meanwhile = meanwhile
    assert administrator.recount(limited, count).drift == NOTHING
    assert steps == ["charged", "left"]
    assert used_by(worker) == (10, 0)
    with worker.changing(limited):
        pass


@pytest.mark.parametrize("own", [True, False])
def test_a_recount_gives_up_on_changes_that_do_not_end(world: Processes, limited: int, own: bool) -> None:
    administrator = world.start()
    worker = administrator if own else world.start()
    with worker.changing(limited), pytest.raises(LedgerBusy):
        administrator.recount(limited, lambda: Count(5, 5))
    assert frozen_by(world.database) is None
    worker.charge(limited, 1)
    assert used_by(administrator) == (1, 0) or not own


def test_a_recount_that_fails_changes_nothing(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 5)

    def count() -> Count:
        raise HomeUnavailable

    with pytest.raises(HomeUnavailable):
        ledger.recount(limited, count)
    assert frozen_by(world.database) is None
    ledger.charge(limited, 5)
    assert used_by(ledger) == (10, 0)


def test_two_recounts_of_one_account_follow_each_other(world: Processes, limited: int) -> None:
    first, second = world.start(), world.start()

    def count() -> Count:
        with pytest.raises(LedgerBusy):
            second.recount(limited, lambda: NOTHING)
        return NOTHING

    first.recount(limited, count)
    second.recount(limited, lambda: NOTHING)


def test_two_threads_of_a_process_recount_one_after_the_other(database: Database, tmp_path: Path) -> None:
    account = make_account(database, ONE)
    ledger = Ledger(database, "worker", tmp_path, times=LedgerTimes(background=False, freeze_deadline_s=0.02))

    def count() -> Count:
        errors: list[BaseException] = []

        def other() -> None:
            try:
                ledger.recount(account, lambda: NOTHING)
            except LedgerBusy as error:
                errors.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return Count(len(errors))

    assert ledger.recount(account, count).after == Count(1)
    ledger.close()


def test_a_dead_process_freezes_nothing(world: Processes, limited: int) -> None:
    ledger = world.start()
    set_frozen(world.database, "nobody")
    with ledger.changing(limited):
        assert frozen_by(world.database) is None
    set_frozen(world.database, "nobody")
    ledger.recount(limited, lambda: NOTHING)
    set_frozen(world.database, "nobody")
    world.time.now += 100
    ledger.attend()
    assert frozen_by(world.database) is None
    set_frozen(world.database, ledger.processes.id)  # as after a database that failed at the wrong moment
    ledger.settle()
    with ledger.changing(limited):
        pass


def test_a_process_taken_for_dead_cannot_end_its_recount(world: Processes, limited: int) -> None:
    ledger = world.start()

    def count() -> Count:
        set_frozen(world.database, None)
        return Count(77, 7)

    with pytest.raises(LedgerBusy):
        ledger.recount(limited, count)
    assert used_by(ledger) == (0, 0)


def test_a_recount_in_mid_replacement_counts_nothing_twice(world: Processes, limited: int) -> None:
    worker, administrator = world.start(), world.start()
    with worker.changing(limited):
        worker.charge(limited, 1000, 1)
        borrowed = worker.charge(limited, 300, credit_bytes=1000)
    recount = administrator.recount(limited, lambda: Count(1300, 1))
    assert recount.drift == NOTHING
    with worker.changing(limited):
        worker.repay(limited, borrowed, refund_bytes=1000)
    worker.settle()
    assert charged(world.database, limited) == Count(300, 1)


# Death and recovery


def test_the_accounts_of_the_dead_are_recounted(world: Processes, limited: int) -> None:
    make_account(world.database, 2)
    make_account(world.database, 3)
    victim, clean, heir = world.start("victim"), world.start("clean"), world.start("heir")
    victim.charge(limited, 100)
    victim.charge(2, 50)
    victim.release_idle()
    clean.charge(3, 5)
    world.kill(victim)
    counts = {limited: Count(60, 1), 2: Count(50, 0)}
    recounts = heir.recover(counts.__getitem__)
    assert [(recount.account, recount.after) for recount in recounts] == list(counts.items())
    assert charged(world.database, limited) == Count(60, 1)
    assert heir.recover(counts.__getitem__) == []
    assert not [file for file in world.folder.iterdir() if "victim" in file.name]
    heir.charge(limited, 940)


def test_two_processes_recover_at_once(world: Processes, limited: int) -> None:
    victim, first, second = world.start(), world.start(), world.start()
    victim.charge(limited, 100)
    world.kill(victim)
    others: list[list[Recount]] = []

    def count(account: int) -> Count:
        def first_ends() -> None:
            set_frozen(world.database, None)
            with world.database.write() as connection:
                connection.execute(delete(leases))

        world.time.meanwhile = first_ends
        others.append(second.recover(lambda account: NOTHING))
        set_frozen(world.database, first.processes.id)
        return Count(1, 1)

    assert len(first.recover(count)) == 1
    assert others == [[]]


def test_an_account_that_cannot_be_counted_stays_marked(
    world: Processes,
    limited: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    victim, heir = world.start(), world.start()
    victim.charge(limited, 100)
    world.kill(victim)

    def fail(account: int) -> Count:
        raise HomeUnavailable

    with caplog.at_level(logging.WARNING):
        assert heir.recover(fail) == []
    assert "account 1 cannot be recounted now: this account's home is not available" in caplog.text
    assert len(heir.recover(lambda account: NOTHING)) == 1


def test_after_the_machine_failed_every_account_is_recounted(world: Processes, limited: int) -> None:
    """Its last commits may be lost, the marks of changing accounts among them."""
    make_account(world.database, 2)
    victim, heir = world.start(), world.start()
    victim.charge(limited, 100)
    world.kill(victim)
    with world.database.write() as connection:
        connection.execute(delete(leases))
        host = heir.processes._host + "/another boot"
        connection.execute(update(processes).where(processes.c.id == victim.processes.id).values(host=host))

    def fail(account: int) -> Count:
        if account == 2:
            raise HomeUnavailable
        return Count(40, 1)

    assert [recount.account for recount in heir.recover(fail)] == [limited]
    assert [recount.account for recount in heir.recover(lambda account: Count(40, 1))] == [limited, 2]
    assert heir.recover(fail) == []


def test_a_process_wrongly_taken_for_dead_spends_nothing_twice(world: Processes, limited: int) -> None:
    ledger, other = world.start(), world.start()
    ledger.charge(limited, 100, 1)
    ledger.hold(limited, 50)
    with world.database.write() as connection:
        connection.execute(delete(processes).where(processes.c.id == ledger.processes.id))
        connection.execute(update(usage).values(used_bytes=100, used_files=1))  # as a recount found
    world.time.now += 100
    ledger.attend()
    other.charge(limited, 800)
    with pytest.raises(QuotaExceeded):
        ledger.charge(limited, 51)
    ledger.settle()
    assert charged(world.database, limited) == Count(900, 1)
    assert lease_rows(world.database)[0][:3] == (limited, 50, 0)


def test_a_process_that_was_forgotten_makes_its_entry_again(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 100)
    with world.database.write() as connection:
        connection.execute(delete(processes))
        connection.execute(update(usage).values(used_bytes=100, used_files=0))
    ledger.charge(limited, 900)
    ledger.settle()
    assert charged(world.database, limited) == Count(1000, 0)


def test_a_removed_account_is_unavailable(world: Processes, limited: int) -> None:
    ledger = world.start()
    ledger.charge(limited, 100)
    with world.database.write() as connection:
        connection.execute(delete(accounts))
    with pytest.raises(HomeUnavailable):
        ledger.charge(limited, 10**6)
    ledger.settle()
    calls: list[Callable[[], object]] = [
        lambda: ledger.changing(limited).__enter__(),
        lambda: ledger.charge(limited, 1),
        lambda: ledger.usage(limited),
        lambda: ledger.recall(limited),
        lambda: ledger.recount(limited, lambda: NOTHING),
    ]
    for call in calls:
        with pytest.raises(HomeUnavailable):
            call()


# A database that fails


def test_a_failed_exchange_loses_nothing(world: Processes, limited: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = world.start()
    ledger.charge(limited, 100)

    def fail(*_: object, **__: object) -> None:
        raise StateUnavailable("it is busy")

    with monkeypatch.context() as patch:
        patch.setattr(ledger._book, "_trade", fail)
        with pytest.raises(StateUnavailable):
            ledger.charge(limited, 500)
        with pytest.raises(StateUnavailable):
            ledger.settle()
    ledger.charge(limited, 900)
    ledger.settle()
    assert charged(world.database, limited) == Count(1000, 0)


def test_a_commit_in_doubt_spends_nothing_twice(
    world: Processes,
    limited: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = world.start()
    ledger.charge(limited, 100)
    with monkeypatch.context() as patch:
        write = world.database.write

        class Doubtful:
            def __init__(self) -> None:
                self.inner = write()

            def __enter__(self) -> object:
                return self.inner.__enter__()

            def __exit__(self, *error: object) -> None:
                self.inner.__exit__(None, None, None)
                raise StateUnavailable("no answer")

        patch.setattr(world.database, "write", Doubtful)
        with pytest.raises(StateUnavailable):
            ledger.settle()
    ledger.settle()
    assert charged(world.database, limited) == Count(100, 0)
    ledger.charge(limited, 900)


# The background


def test_the_background_answers_and_gives_back(database: Database, tmp_path: Path) -> None:
    account = make_account(database, ONE, 1000)
    times = LedgerTimes(poll_s=0.001, idle_s=0.005, retry_s=0.001, recall_deadline_s=30.0)
    first, second = Ledger(database, "first", tmp_path, times=times), Ledger(database, "second", tmp_path, times=times)
    with first.changing(account):
        first.charge(account, 100)
        second.charge(account, 900)
    for _ in range(10_000):
        if not lease_rows(database):
            break
        threading.Event().wait(0.001)
    assert lease_rows(database) == []
    first.close()
    second.close()


def test_the_background_outlives_an_error(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    account = make_account(database, ONE, 1000)
    ledger = Ledger(database, "worker", tmp_path, times=LedgerTimes(poll_s=0.001))
    rounds: list[int] = []
    enough = threading.Event()

    def fail() -> None:
        rounds.append(1)
        if len(rounds) == 3:
            enough.set()
        raise StateUnavailable("it is busy")

    monkeypatch.setattr(ledger._leasing, "attend", fail)
    ledger.charge(account, 1)
    assert enough.wait(30)
    ledger.close()
    assert "the quota ledger could not answer other processes" in caplog.text


def test_a_thread_may_find_the_work_done_by_another(world: Processes, limited: int) -> None:
    ledger = world.start()
    leasing = ledger._leasing
    ledger.charge(limited, 100)
    leasing._start_once()
    leasing._open(ledger._lease(limited))
    assert ledger._lease(limited).inside == 1
    leasing.changing(limited).__exit__(None, None, None)
    assert ledger._lease(limited).inside == 0


def test_threads_begin_together(database: Database, tmp_path: Path) -> None:
    """Fifty threads of one process, a limit that twenty fit into."""
    account = make_account(database, ONE, 20 * 100)
    ledger = Ledger(database, "worker", tmp_path)
    gate = threading.Barrier(50)
    results: list[bool] = []

    def upload() -> None:
        gate.wait()
        with ledger.changing(account):
            try:
                ledger.charge(account, 100, 1)
            except QuotaExceeded:
                results.append(False)
            else:
                results.append(True)

    threads = [threading.Thread(target=upload) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    assert sorted(results) == [False] * 30 + [True] * 20
    assert charged(database, account) == Count(2000, 20)


def test_fake_time_moves_when_somebody_waits() -> None:
    clock = FakeTime()
    clock.clocks().sleep(2.0)
    assert clock.clocks().monotonic() == 1002.0
