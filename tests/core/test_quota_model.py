"""The ledger against a model: several processes, every kind of change, deaths and recounts, in any order."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.core.ledgers import Processes, charged, handed_out, make_account, set_limits

from homeport.core.count import Count
from homeport.core.errors import QuotaExceeded
from homeport.core.leases import NOTHING
from homeport.core.quota import Borrowed, Ledger
from homeport.core.state import open_database

ACCOUNT = 1
SIZES = st.integers(0, 120)


@dataclass(eq=False)
class Disk:
    """What is really there: whole files, stages, and room that is held without being there."""

    files: dict[int, int]
    stages: dict[int, int]
    held: dict[int, int]

    def count(self) -> Count:
        return Count(sum(self.files.values()) + sum(self.stages.values()), len(self.files) + len(self.stages))


@dataclass(eq=False)
class Replacement:
    """An upload that replaces the file `name`, by the process `owner`."""

    owner: Ledger
    name: int
    stage: int
    borrowed: Borrowed = NOTHING


class LedgerModel(RuleBasedStateMachine):
    uploads = Bundle("uploads")
    holds = Bundle("holds")

    @initialize(quota=st.integers(100, 400), files=st.integers(3, 12))
    def begin(self, quota: int, files: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{self.folder.name}/state.db")
        self.quota, self.limit = quota, files
        make_account(self.database, ACCOUNT, quota, files)
        self.world = Processes(self.database, Path(self.folder.name) / "run")
        self.disk = Disk({}, {}, {})
        self.borrowed: dict[int, Borrowed] = {}
        self.replacing: dict[int, int] = {}
        self.strict = True  # until something other than the ledger lets the account pass its limit
        self.names = iter(range(10**6))
        for _ in range(3):
            self.world.start()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            assert charged(self.database, ACCOUNT) == self.disk.count()
            self.database.close()
            self.folder.cleanup()

    def pick(self, process: int) -> Ledger:
        return self.world.living[process % len(self.world.living)]

    def free(self) -> Count:
        used = self.disk.count() - sum(self.borrowed.values(), NOTHING)
        return Count(self.quota - used.bytes - sum(self.disk.held.values()), self.limit - used.files)

    def fits(self, size: int, files: int) -> bool:
        free = self.free()
        return (size == 0 or size <= free.bytes) and (files == 0 or files <= free.files)

    def try_charge(self, ledger: Ledger, size: int, files: int) -> bool:
        expected = self.fits(size, files)
        try:
            ledger.charge(ACCOUNT, size, files)
        except QuotaExceeded:
            assert not expected
            return False
        assert expected
        return True

    @rule(process=st.integers(0, 9), size=SIZES)
    def store(self, process: int, size: int) -> None:
        ledger = self.pick(process)
        with ledger.changing(ACCOUNT):
            if self.try_charge(ledger, size, 1):
                self.disk.files[next(self.names)] = size

    @rule(process=st.integers(0, 9), over=st.sampled_from([0, 1]))
    def fill(self, process: int, over: int) -> None:
        """An exact fit, or one byte more, wherever the free bytes are leased to."""
        size = max(0, self.free().bytes) + over
        if self.try_charge(self.pick(process), size, 1):
            self.disk.files[next(self.names)] = size

    @rule(process=st.integers(0, 9), which=st.integers(0, 99), size=SIZES)
    def append(self, process: int, which: int, size: int) -> None:
        if not self.disk.files:
            return
        name = sorted(self.disk.files)[which % len(self.disk.files)]
        if self.try_charge(self.pick(process), size, 0):
            self.disk.files[name] += size

    @rule(process=st.integers(0, 9), which=st.integers(0, 99))
    def remove(self, process: int, which: int) -> None:
        if self.disk.files:
            name = sorted(self.disk.files)[which % len(self.disk.files)]
            self.pick(process).refund(ACCOUNT, self.disk.files.pop(name), 1)

    @rule(target=uploads, process=st.integers(0, 9), which=st.integers(0, 99), size=SIZES)
    def replace(self, process: int, which: int, size: int) -> object:
        ledger = self.pick(process)
        if not self.disk.files:
            return multiple()
        name = sorted(self.disk.files)[which % len(self.disk.files)]
        if name in self.replacing.values():  # one upload a path at a time
            return multiple()
        try:
            debt = ledger.charge(ACCOUNT, size, 1, credit_bytes=self.disk.files[name], credit_files=1)
        except QuotaExceeded:
            assert not self.fits(max(0, size - self.disk.files[name]), 0)
            return multiple()
        assert debt.bytes <= self.disk.files[name]
        assert debt.files <= 1
        stage = next(self.names)
        self.disk.stages[stage] = size
        self.borrowed[stage] = debt
        self.replacing[stage] = name
        return Replacement(ledger, name, stage, debt)

    @rule(upload=consumes(uploads))
    def commit(self, upload: Replacement) -> None:
        if upload.owner not in self.world.living:
            return
        old = self.disk.files.get(upload.name)
        try:
            upload.owner.repay(ACCOUNT, upload.borrowed, refund_bytes=old or 0, refund_files=0 if old is None else 1)
        except QuotaExceeded:
            self.abort(upload)
            return
        self.disk.files[upload.name] = self.disk.stages.pop(upload.stage)
        del self.borrowed[upload.stage], self.replacing[upload.stage]

    @rule(upload=consumes(uploads))
    def give_up(self, upload: Replacement) -> None:
        if upload.owner in self.world.living:
            self.abort(upload)

    def abort(self, upload: Replacement) -> None:
        """Remove the stage: what it borrowed is repaid by what it frees."""
        size = self.disk.stages.pop(upload.stage)
        upload.owner.repay(ACCOUNT, upload.borrowed, refund_bytes=size, refund_files=1)
        del self.borrowed[upload.stage], self.replacing[upload.stage]

    @rule(target=holds, process=st.integers(0, 9), size=SIZES)
    def hold(self, process: int, size: int) -> object:
        ledger = self.pick(process)
        try:
            ledger.hold(ACCOUNT, size)
        except QuotaExceeded:
            assert not self.fits(size, 0)
            return multiple()
        name = next(self.names)
        self.disk.held[name] = size
        return (ledger, name)

    @rule(held=consumes(holds), spend=st.booleans())
    def end_hold(self, held: tuple[Ledger, int], spend: bool) -> None:
        ledger, name = held
        if ledger not in self.world.living:
            return
        size = self.disk.held.pop(name)
        if not spend:
            ledger.release(ACCOUNT, size)
            return
        try:
            ledger.charge(ACCOUNT, size, 1, held_bytes=size)
        except QuotaExceeded:
            assert not self.fits(0, 1)
            ledger.release(ACCOUNT, size)
        else:
            self.disk.files[name] = size

    @rule(process=st.integers(0, 9))
    def die_and_recover(self, process: int) -> None:
        if len(self.world.living) == 1:
            return
        victim = self.pick(process)
        lost = [name for name in self.borrowed if self.owner_of(name) is victim]
        self.world.kill(victim)
        for name in lost:  # its stages stay; what they borrowed is simply there now
            borrowed = self.borrowed.pop(name)
            self.strict = self.strict and borrowed == NOTHING
            del self.replacing[name]
        self.disk.held = {name: size for name, size in self.disk.held.items() if self.owner_of(name) is not victim}
        for recount in self.pick(0).recover(lambda account: self.disk.count()):
            assert recount.after == self.disk.count()
        self.world.start()

    def owner_of(self, name: int) -> object:
        for value in self.names_to_values.values():
            if isinstance(value, Replacement) and value.stage == name:
                return value.owner
            if isinstance(value, tuple) and value[1] == name:
                return value[0]
        raise AssertionError(name)

    @rule(process=st.integers(0, 9), drift=st.sampled_from([0, 0, 0, 1, 50]))
    def recount(self, process: int, drift: int) -> None:
        if drift:  # somebody works behind the server's back
            self.disk.files[next(self.names)] = drift
            self.strict = False
        expected = self.disk.count()
        recount = self.pick(process).recount(ACCOUNT, self.disk.count)
        assert recount.after == expected

    @rule(quota=st.integers(50, 500))
    def change_limit(self, quota: int) -> None:
        self.strict = self.strict and quota >= self.quota
        self.quota = quota
        set_limits(self.database, ACCOUNT, quota, self.limit)
        self.pick(0).limits_changed(ACCOUNT)

    @rule(process=st.integers(0, 9))
    def settle(self, process: int) -> None:
        self.pick(process).settle()

    @rule(seconds=st.sampled_from([0.01, 1.5, 20.0]))
    def wait(self, seconds: float) -> None:
        self.world.time.sleep(seconds)

    @invariant()
    def the_ledger_equals_the_disk(self) -> None:
        if not hasattr(self, "world"):
            return
        spendable = NOTHING
        aside = NOTHING
        for ledger in self.world.living:
            lease = ledger._lease(ACCOUNT)
            assert lease.inside == 0
            spendable += lease.balance()
            aside += lease.aside()
        used = handed_out(self.database, ACCOUNT)
        assert used == self.disk.count() + spendable + aside
        if self.strict:
            assert used.bytes <= self.quota
            assert used.files <= self.limit


LedgerModel.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLedgerModel = LedgerModel.TestCase
