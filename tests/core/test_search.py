"""How the need for room ends, with several ledgers in the place of processes: at once where it can be known."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.core.ledgers import Processes, charged, handed_out, lease_rows, make_account

from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.lease_book import Short
from homeport.core.leases import NOTHING, Room
from homeport.core.ledger_times import LedgerTimes
from homeport.core.quota import Ledger
from homeport.core.state import Database, open_database

ONE = 1
QUOTA = 1000
TIMES = LedgerTimes(background=False, giving_way_deadline_s=3.0)


class World(Processes):
    """Processes with the times of real ones."""

    def start(self, label: str = "worker") -> Ledger:
        self.living.append(Ledger(self.database, label, self.folder, times=TIMES, clocks=self.time.clocks()))
        return self.living[-1]


class Upload:
    """What core.transfer.Upload does with the ledger. One that is `busy` gives way only when it is not any more."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.size = 0
        self.busy = False
        self.refusal: QuotaExceeded | None = None
        with ledger.changing(ONE):
            ledger.charge(ONE, files=1)
        self.turn = ledger.arbiter.enter(ONE, self)

    def grow(self, size: int) -> None:
        search = self.ledger.search(ONE, self.turn)
        while True:
            try:
                if self.refusal:
                    raise self.refusal
                with self.ledger.changing(ONE):
                    self.ledger.charge(ONE, size, search=search)
            except QuotaExceeded as error:
                if self.refusal or not search.goes_on(error):
                    raise
            else:
                self.size += size
                return

    def give_way(self, error: QuotaExceeded) -> None:
        self.refusal = self.refusal or error
        if not self.busy:
            with self.ledger.changing(ONE):
                self.ledger.refund(ONE, self.size)
            self.size = 0
            self.ledger.arbiter.leave(ONE, self.turn)

    def finish(self) -> None:
        self.ledger.arbiter.leave(ONE, self.turn)

    def abort(self) -> None:
        with self.ledger.changing(ONE):
            self.ledger.refund(ONE, self.size, 1)
        self.finish()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    make_account(database, ONE, QUOTA)
    world = World(database, tmp_path / "run")
    yield world
    world.close()


@pytest.fixture
def elapsed(world: World) -> Callable[[], float]:
    begun = world.time.now
    return lambda: world.time.now - begun


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(QuotaExceeded) as caught:
        act()
    return str(caught.value)


# Charges that nobody can help


def test_what_another_process_holds_for_later_is_not_waited_for(world: World, elapsed: Callable[[], float]) -> None:
    here, there = world.start(), world.start()
    there.hold(ONE, 600)
    assert refused(lambda: here.charge(ONE, 401)) == "quota exceeded: 401 more bytes wanted, 400 of 1000 free"
    assert elapsed() < 0.03
    here.charge(ONE, 400)
    there.release(ONE, 600)
    here.charge(ONE, 600)


def test_a_dead_process_is_not_waited_for(world: World, elapsed: Callable[[], float]) -> None:
    """What it left comes back by a recount alone, and none can begin while somebody waits inside `changing`."""
    here, there = world.start(), world.start()
    there.charge(ONE, 600)
    left = handed_out(world.database, ONE).bytes - 600
    assert left > 0
    world.kill(there)
    assert refused(lambda: here.charge(ONE, 400)) == f"quota exceeded: 400 more bytes wanted, {400 - left} of 1000 free"
    assert elapsed() < 0.15


def test_a_silent_process_that_lives_is_waited_for_until_the_deadline(
    world: World, elapsed: Callable[[], float]
) -> None:
    here, there = world.start(), world.start()
    there.charge(ONE, 600)
    world.time.meanwhile = lambda: None
    refused(lambda: here.charge(ONE, 400))
    assert 2.0 <= elapsed() < 2.1


def test_a_search_that_found_nothing_does_not_go_on(world: World) -> None:
    assert not world.start().search(ONE).goes_on(QuotaExceeded("files", 1, 0, 1))


def test_one_of_this_process_that_went_meanwhile_is_not_asked(world: World) -> None:
    search = world.start().search(ONE, "00000000000000000001 here")
    search.note(Short(Room(NOTHING, QUOTA, None), victim="00000000000000000002 here"), Count(1), NOTHING)
    assert search.goes_on(QuotaExceeded("bytes", QUOTA, 0, 1))


# Uploads in several processes


def test_a_younger_upload_elsewhere_gives_way(world: World, elapsed: Callable[[], float]) -> None:
    here, there = world.start(), world.start()
    old, young = Upload(here), Upload(there)
    young.grow(600)
    old.grow(401)
    assert str(young.refusal) == "quota exceeded: 1 more bytes wanted, 0 of 1000 free"
    assert (old.size, young.size) == (401, 0)
    assert elapsed() < 0.1
    assert refused(lambda: young.grow(1)) == str(young.refusal)


def test_the_youngest_gives_way_itself_and_not_an_older_one_elsewhere(world: World) -> None:
    here, there = world.start(), world.start()
    old, young = Upload(here), Upload(there)
    old.grow(600)
    young.grow(300)
    assert refused(lambda: young.grow(101)) == "quota exceeded: 101 more bytes wanted, 100 of 1000 free"
    assert (old.size, old.refusal, young.size) == (600, None, 0)
    old.grow(400)


def test_one_that_is_alone_keeps_what_it_has(world: World) -> None:
    here, there = world.start(), world.start()
    with there.changing(ONE):
        there.charge(ONE, 600)
        alone = Upload(here)
        alone.grow(400)
        refused(lambda: alone.grow(1))
    assert (alone.size, alone.refusal) == (400, None)


def test_a_stalled_upload_elsewhere_is_found(world: World) -> None:
    here, there = world.start(), world.start()
    old, stalled = Upload(here), Upload(there)
    stalled.grow(600)
    for _ in range(4):
        world.time.now += 1.0
        world.attend()
    assert [row[:3] for row in lease_rows(world.database)] == [(ONE, 0, 0)] * 2
    old.grow(1000)
    assert (old.size, stalled.size) == (1000, 0)
    stalled.abort()
    old.finish()
    for _ in range(3):
        world.time.now += 1.0
        world.attend()
    assert lease_rows(world.database) == []


def test_one_that_cannot_give_way_at_once_is_waited_for(world: World, elapsed: Callable[[], float]) -> None:
    here, there = world.start(), world.start()
    old, young = Upload(here), Upload(there)
    young.grow(600)
    young.busy = True

    def finish_later() -> None:
        world.attend()
        if elapsed() > 1 and young.size:  # it had ended already: its room is its own for good
            young.finish()
            young.size = 0

    world.time.meanwhile = finish_later
    refused(lambda: old.grow(500))
    assert 1 < elapsed() < 1.5
    assert (old.size, old.refusal) == (0, None)  # it is alone now
    old.grow(400)


def test_one_that_never_gives_way_is_not_waited_for_for_ever(world: World, elapsed: Callable[[], float]) -> None:
    here, there = world.start(), world.start()
    old, young = Upload(here), Upload(there)
    young.grow(600)
    young.busy = True
    refused(lambda: old.grow(500))
    assert 3 <= elapsed() < 3.5
    assert old.refusal is None
    young.busy = False
    young.give_way(QuotaExceeded("bytes", 0, 0, 0))
    old.grow(500)


def test_uploads_of_a_dead_process_are_no_rivals(world: World, elapsed: Callable[[], float]) -> None:
    here, there = world.start(), world.start()
    old, lost = Upload(here), Upload(there)
    lost.grow(600)
    old.grow(100)
    world.kill(there)
    refused(lambda: old.grow(400))
    assert elapsed() < 0.2
    assert (old.size, old.refusal) == (100, None)


@pytest.mark.parametrize(("size", "waits"), [(399, True), (401, False)])
def test_an_upload_waits_for_a_recount_of_what_a_dead_process_left_if_it_is_enough(
    world: World, elapsed: Callable[[], float], size: int, waits: bool
) -> None:
    here, there = world.start(), world.start()
    there.charge(ONE, 600)
    world.kill(there)
    old = Upload(here)
    refused(lambda: old.grow(size))
    assert (elapsed() < 0.2, 2.0 <= elapsed() < 2.2) == (not waits, waits)
    rounds = itertools.count()

    def recount_at_last() -> None:
        world.attend()
        if next(rounds) == 100:
            here.recover(lambda _: Count(600, 1))

    world.time.meanwhile = recount_at_last
    if waits:
        old.grow(size)
        assert charged(world.database, ONE) == Count(600 + size, 1)


def test_one_that_began_elsewhere_meanwhile_gives_way_first(world: World) -> None:
    """Each naming follows a new question: what was told before the last upload gave way is too old."""
    here, there, beyond = world.start(), world.start(), world.start()
    middle, young = Upload(here), Upload(there)
    middle.grow(300)
    young.grow(300)
    late: list[Upload] = []

    def begin_when_the_young_one_has_gone() -> None:
        world.attend()
        if young.refusal and not late:
            late.append(Upload(beyond))
            with suppress(QuotaExceeded):
                late[0].grow(500)

    with beyond.changing(ONE):
        beyond.charge(ONE, 100)
    world.time.meanwhile = begin_when_the_young_one_has_gone
    middle.grow(450)
    assert (middle.size, young.size) == (750, 0)
    assert [one.size for one in late] == [0]


class Crowd(RuleBasedStateMachine):
    """Any uploads in any of three processes against one list: who is where makes no difference."""

    @initialize(quota=st.integers(10, 60))
    def begin(self, quota: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = open_database(f"sqlite:///{self.folder / 'state.db'}")
        make_account(self.database, ONE, quota)
        self.world = World(self.database, self.folder / "run")
        self.ledgers = [self.world.start() for _ in range(3)]
        self.quota = quota
        self.stored = 0
        self.alive: list[Upload] = []  # by age
        self.sizes: dict[str, int] = {}

    @rule(process=st.integers(0, 2))
    def enter(self, process: int) -> None:
        upload = Upload(self.ledgers[process])
        self.alive.append(upload)
        self.sizes[upload.turn] = 0

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), size=st.integers(1, 15))
    def grow(self, data: st.DataObject, size: int) -> None:
        upload = data.draw(st.sampled_from(self.alive))
        expected = self.expect(upload.turn, size)
        try:
            upload.grow(size)
        except QuotaExceeded:
            assert not expected
        else:
            assert expected
        assert {one.turn: one.size for one in self.alive} == {
            one.turn: self.sizes.get(one.turn, 0) for one in self.alive
        }
        for one in [one for one in self.alive if one.turn not in self.sizes]:
            assert one.refusal is not None
            one.abort()
            self.alive.remove(one)
        assert all(one.refusal is None for one in self.alive)

    def expect(self, turn: str, size: int) -> bool:
        """What the rule says, in one list of all uploads."""
        while self.stored + sum(self.sizes.values()) + size > self.quota:
            if len(self.sizes) == 1:
                return False
            youngest = max(self.sizes)
            del self.sizes[youngest]
            if youngest == turn:
                return False
        self.sizes[turn] += size
        return True

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), good=st.booleans())
    def end(self, data: st.DataObject, good: bool) -> None:
        upload = data.draw(st.sampled_from(self.alive))
        self.alive.remove(upload)
        size = self.sizes.pop(upload.turn)
        if good:
            self.stored += size
            upload.finish()
        else:
            upload.abort()

    @rule(seconds=st.sampled_from([0.0, 1.5]), process=st.integers(0, 2))
    def rest(self, seconds: float, process: int) -> None:
        self.world.time.now += seconds
        self.ledgers[process].attend()

    @invariant()
    def within_the_limit(self) -> None:
        if hasattr(self, "world"):
            assert handed_out(self.database, ONE).bytes <= self.quota

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            assert handed_out(self.database, ONE).bytes == self.stored + sum(self.sizes.values())
            self.database.close()
            shutil.rmtree(self.folder)


Crowd.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestCrowd = Crowd.TestCase
