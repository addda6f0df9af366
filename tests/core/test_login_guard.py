"""Failures cost whoever fails; bans end when they should, in every process and after every restart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest
from sqlalchemy import func, select

from homeport.core.errors import Banned
from homeport.core.login_guard import Ban, GuardSettings, LoginGuard
from homeport.core.schema import bans, login_failures
from homeport.core.state import Database
from homeport.core.steady_clock import Clocks

START = 1_800_000_000.0
HOME, OFFICE, EVIL = "192.0.2.1", "198.51.100.1", "203.0.113.9"
SETTINGS = GuardSettings()
Guards = Callable[..., LoginGuard]


class Time:
    """The wall clock and the time since boot, which tests move together or apart."""

    def __init__(self) -> None:
        self.wall, self.up = START, 500.0

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.up, "this boot")

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def guards(open_again: Callable[[], Database], time: Time) -> Guards:
    """Guards of one installation, as several processes have them."""

    def new(settings: GuardSettings = SETTINGS) -> LoginGuard:
        return LoginGuard(open_again(), settings, time.clocks())

    return new


@pytest.fixture
def guard(guards: Guards) -> LoginGuard:
    return guards()


def fail(guard: LoginGuard, times: int, address: str = EVIL, name: str = "anna") -> list[float]:
    return [guard.failed(address, name) for _ in range(times)]


def is_banned(guard: LoginGuard, address: str, name: str | None = None) -> bool:
    try:
        guard.check(address, name)
    except Banned:
        return True
    return False


# Delays


def test_the_delay_doubles_up_to_its_end(guard: LoginGuard) -> None:
    guard = LoginGuard(guard._database, replace(SETTINGS, failures_before_ban=1000), Time().clocks())
    assert fail(guard, 6) == [0.5, 1, 2, 4, 8, 8]
    assert fail(guard, 100)[-1] == 8


def test_a_known_and_an_unknown_name_wait_the_same(guard: LoginGuard) -> None:
    assert fail(guard, 4, HOME, "known") == fail(guard, 4, OFFICE, "unknown")


def test_an_impossible_name_counts_for_its_address(guard: LoginGuard) -> None:
    assert fail(guard, 3, name="\0") == [0.5, 1, 2]
    fail(guard, 7, name="\0")
    assert is_banned(guard, EVIL)


def test_failures_against_a_name_from_everywhere_make_refusals_slow(guard: LoginGuard) -> None:
    delays = [guard.failed(f"203.0.113.{n}", "anna") for n in range(1, 7)]
    assert delays == [0.5, 1, 2, 4, 8, 8]
    assert guard.failed(HOME, "bert") == 0.5


# Bans


def test_one_name_from_one_address_is_banned_first_then_the_address(guard: LoginGuard) -> None:
    fail(guard, 4)
    assert not is_banned(guard, EVIL, "anna")
    fail(guard, 1)
    assert is_banned(guard, EVIL, "ANNA")
    assert not is_banned(guard, EVIL, "bert")
    assert not is_banned(guard, EVIL)
    fail(guard, 4, name="bert")
    assert not is_banned(guard, EVIL)
    fail(guard, 1, name="carl")
    assert is_banned(guard, EVIL)
    assert is_banned(guard, EVIL, "dora")
    assert not is_banned(guard, HOME, "anna")


def test_a_ban_says_why_and_how_long(guard: LoginGuard, time: Time) -> None:
    fail(guard, 5)
    time.wait(100)
    with pytest.raises(Banned) as caught:
        guard.check(EVIL, "anna")
    assert str(caught.value) == "too many failed logins; try again in 800 s"
    assert caught.value.reason == "too many failed logins"


def test_the_owner_gets_in_from_elsewhere_whatever_others_do(guard: LoginGuard) -> None:
    for n in range(1, 40):
        fail(guard, 6, f"203.0.113.{n}")
    guard.check(HOME, "anna")
    guard.succeeded(HOME, "anna")
    assert guard.failed(HOME, "anna") == 8
    guard.check(HOME, "anna")


def test_a_64_of_ipv6_is_one_address(guard: LoginGuard) -> None:
    for n in range(10):
        guard.failed(f"2001:db8::{n + 1:x}", f"name{n}")
    assert is_banned(guard, "2001:db8::ffff")
    assert not is_banned(guard, "2001:db8:0:1::1")


def test_networks_that_are_never_banned_wait_all_the_same(guards: Guards) -> None:
    guard = guards(replace(SETTINGS, never_ban=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))))
    for address in (HOME, f"::ffff:{HOME}", "2001:db8::1"):
        assert fail(guard, 30, address)[-1] == 8
        assert not is_banned(guard, address, "anna")
    assert guard.bans() == []
    fail(guard, 5, OFFICE)
    assert is_banned(guard, OFFICE, "anna")


def test_peers_of_the_unix_socket_count_as_one(guard: LoginGuard) -> None:
    fail(guard, 5, "")
    assert is_banned(guard, "unix", "anna")


# Forgetting


def test_failures_leak_away(guard: LoginGuard, time: Time) -> None:
    """Ten in 900 s are one in 90 s: a slow mistake costs nothing, ever."""
    for _ in range(30):
        assert guard.failed(EVIL, "anna") == 0.5
        time.wait(90)
    fail(guard, 4)
    time.wait(90 * 2)
    fail(guard, 2)
    assert not is_banned(guard, EVIL, "anna")
    fail(guard, 1)
    assert is_banned(guard, EVIL, "anna")


def test_a_success_forgets_this_names_failures_from_this_address_alone(guard: LoginGuard) -> None:
    fail(guard, 4, HOME)
    fail(guard, 3, HOME, "bert")
    fail(guard, 2, OFFICE)
    guard.succeeded(HOME, "anna")
    assert guard.failed(HOME, "bert") == 4  # bert's three and this one
    assert guard.failed(OFFICE, "anna") == 2  # office's two and this one
    guard.succeeded(HOME, "nobody")
    guard.succeeded(HOME, "\0")
    assert guard.failed(HOME, "\0") == 8


def test_an_own_account_does_not_clear_a_guessers_record(guard: LoginGuard) -> None:
    for n in range(10):
        guard.failed(EVIL, f"victim{n}")
        guard.succeeded(EVIL, "mallory")
    assert is_banned(guard, EVIL, "mallory")


# Time


def test_a_ban_ends(guard: LoginGuard, time: Time) -> None:
    fail(guard, 5)
    time.wait(899)
    assert is_banned(guard, EVIL, "anna")
    time.wait(1)
    assert not is_banned(guard, EVIL, "anna")
    assert guard.bans() == []


def test_bans_grow_while_they_follow_each_other(guard: LoginGuard, time: Time) -> None:
    lengths = []
    for _ in range(9):
        while not is_banned(guard, EVIL, "anna"):
            guard.failed(EVIL, "anna")
        ban = next(ban for ban in guard.bans() if ban.kind == "pair")
        assert ban.until is not None
        lengths.append(ban.until - ban.created_at)
        time.wait(lengths[-1] + 1)
    assert lengths == pytest.approx([900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 86400])
    time.wait(86400)
    fail(guard, 5)
    with pytest.raises(Banned) as caught:
        guard.check(EVIL, "anna")
    assert caught.value.retry_after_s == pytest.approx(900)


@pytest.mark.parametrize("set_by", [-365 * 86400.0, -3600.0, 3600.0, 365 * 86400.0])
def test_setting_the_clock_neither_ends_nor_lengthens_a_ban(guards: Guards, time: Time, set_by: float) -> None:
    guard = guards()
    fail(guard, 5)
    time.wall += set_by
    for each in (guard, guards()):
        with pytest.raises(Banned) as caught:
            each.check(EVIL, "anna")
        assert caught.value.retry_after_s == pytest.approx(900)
    assert guard.bans()[0].until == pytest.approx(time.wall + 900)
    time.wait(900)
    assert not is_banned(guards(), EVIL, "anna")


# Processes


def test_all_processes_count_together_and_a_restart_forgets_nothing(guards: Guards) -> None:
    for _ in range(5):
        guards().failed(EVIL, "anna")
    assert is_banned(guards(), EVIL, "anna")
    assert [ban.subject for ban in guards().bans()] == [f"anna {EVIL}"]


def test_no_failure_is_lost_among_threads_and_processes(guards: Guards, database_url: str) -> None:
    guard = guards(replace(SETTINGS, failures_before_ban=10_000))
    code = f"""
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.state import open_database
from homeport.core.steady_clock import Clocks
database = open_database({database_url!r})
clocks = Clocks(lambda: {START}, lambda: 500.0, "this boot")
guard = LoginGuard(database, GuardSettings(failures_before_ban=10_000), clocks)
for n in range(30):
    guard.failed({EVIL!r}, f"name{{n % 3}}")
    guard.succeeded({OFFICE!r}, f"name{{n % 3}}")
database.close()
"""
    other = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"})

    def work() -> None:
        for n in range(20):
            guard.failed(EVIL, f"name{n % 3}")
            guard.failed(OFFICE, f"name{n % 3}")
            guard.succeeded(OFFICE, f"name{n % 3}")
            if n % 5 == 0:
                guard.prune()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(60) == 0
    count = select(login_failures.c.count).where(login_failures.c.subject == EVIL)
    with guard._database.read() as connection:
        assert connection.scalar(count) == 30 + 4 * 20


def test_logins_that_began_before_the_ban_do_not_lengthen_it(guard: LoginGuard) -> None:
    fail(guard, 9)
    with pytest.raises(Banned) as caught:
        guard.check(EVIL, "anna")
    assert caught.value.retry_after_s == pytest.approx(900)


# Administration


def test_bans_are_listed_the_newest_first(guard: LoginGuard, time: Time) -> None:
    fail(guard, 5)
    time.wait(10)
    by_hand = guard.ban("address", "2001:db8::7", "a worm", 60)
    for_ever = guard.ban("name", "Carl", "left")
    assert by_hand == Ban("address", "2001:db8::/64", "a worm", START + 10, START + 70)
    assert for_ever == Ban("name", "carl", "left", START + 10, None)
    assert guard.bans() == [
        by_hand,
        for_ever,
        Ban("pair", f"anna {EVIL}", "too many failed logins", START, START + 900),
    ]


def test_a_ban_by_hand_holds_until_it_is_removed(guard: LoginGuard, time: Time) -> None:
    guard.ban("address", EVIL, "a worm", 60)
    guard.ban("address", EVIL, "a worm")
    fail(guard, 10)
    time.wait(10 * 365 * 86400)
    with pytest.raises(Banned) as caught:
        guard.check(EVIL, "anna")
    assert (caught.value.reason, caught.value.retry_after_s) == ("a worm", None)
    assert str(caught.value) == "logins from here are banned; ask the administrator"
    assert guard.unban(EVIL)
    guard.check(EVIL, "anna")


def test_the_longest_ban_is_the_one_that_is_told(guard: LoginGuard) -> None:
    guard.ban("name", "anna", "short", 10)
    guard.ban("address", EVIL, "long", 100)
    with pytest.raises(Banned) as caught:
        guard.check(EVIL, "anna")
    assert caught.value.reason == "long"
    assert caught.value.retry_after_s == pytest.approx(100)


@pytest.mark.parametrize("whom", [EVIL, "ANNA", f"anna {EVIL}"])
def test_a_ban_is_ended_by_either_half_of_it(guard: LoginGuard, whom: str) -> None:
    fail(guard, 5)
    assert guard.unban(whom)
    assert guard.bans() == []
    assert fail(guard, 4)  # those before are forgotten
    assert not is_banned(guard, EVIL, "anna")


@pytest.mark.parametrize("whom", ["", "%", "_nna", HOME, "bert", f"bert {EVIL}", "\0", "anna 203.0.113", "x" * 100_000])
def test_other_bans_stay(guard: LoginGuard, whom: str) -> None:
    fail(guard, 5)
    assert not guard.unban(whom)
    assert is_banned(guard, EVIL, "anna")


def test_an_ended_ban_is_no_ban_to_remove(guard: LoginGuard, time: Time) -> None:
    fail(guard, 5)
    time.wait(900)
    assert not guard.unban(EVIL)


def test_a_whole_64_is_unbanned_by_any_of_its_addresses(guard: LoginGuard) -> None:
    guard.ban("address", "2001:db8::7", "a worm")
    assert guard.unban("2001:db8::8")


# Bounds


def rows(guard: LoginGuard) -> tuple[int, int]:
    with guard._database.read() as connection:
        failures, banned = (select(func.count()).select_from(table) for table in (login_failures, bans))
        return connection.execute(failures).scalar_one(), connection.execute(banned).scalar_one()


def test_what_has_leaked_away_is_dropped(guard: LoginGuard, time: Time) -> None:
    fail(guard, 5)
    guard.ban("address", HOME, "for ever")
    assert rows(guard) == (3, 2)
    time.wait(5 * 90 + 1)
    guard.prune()
    assert rows(guard) == (0, 2)
    time.wait(86400 + 900)
    guard.prune()
    assert rows(guard) == (0, 1)


def test_records_are_bounded_and_the_least_goes_first(guards: Guards) -> None:
    guard = guards(replace(SETTINGS, max_records=100))
    fail(guard, 5, HOME)
    guard.ban("address", OFFICE, "for ever")
    for n in range(64 * 3):
        guard.failed(f"10.0.{n}.1", f"name{n}")
        guard.ban("address", f"10.1.{n}.1", "worm", 60)
        assert max(rows(guard)) <= 100 + 64 * 3  # of three records each, counted every 64 failures
    guard.prune()
    assert rows(guard) == (100, 100)
    assert is_banned(guard, HOME, "anna")
    assert is_banned(guard, OFFICE)
    assert guard.failed(HOME, "bert") == 8
