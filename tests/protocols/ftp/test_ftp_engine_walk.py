"""Every command in every state, and arbitrary bytes: one answer each, bounded memory, whole lines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.ftp.driver import OPEN, Driver, logged_in, whole_and_bytewise

from homeport.protocols.ftp.arguments import Shape
from homeport.protocols.ftp.commands import COMMANDS, OPTS_COMMANDS, SITE_COMMANDS, Command
from homeport.protocols.ftp.events import Abort, Quit, Request, StartTls
from homeport.protocols.ftp.policy import Policy, TlsPolicy

_PATHS = [row.verb for row in COMMANDS.values() if row.shape in {Shape.PATH, Shape.DIGEST}]
ARGUMENTS = {
    "AUTH": "TLS", "PBSZ": "0", "PROT": "P", "USER": "a", "PASS": "b", "ACCT": "x", "HOST": "h", "TYPE": "I",
    "MODE": "S",
    "PORT": "127,0,0,1,10,1", "EPRT": "|1|127.0.0.1|2561|", "STRU": "F", "REST": "0", "RANG": "1 0", "ALLO": "5",
    "COMB": '"t" "p"', "MFMT": "20200101000000 x", "MFF": "Modify=20200101000000; x", "CLNT": "c",
    "OPTS MODE": "Z LEVEL 3",
    "SITE CHMOD": "640 x", "SITE UTIME": "202001010000 x", "SITE EXPECT": "5 " + "ab" * 32,
    **dict.fromkeys(_PATHS, "x"), "SITE CPFR": "x", "SITE CPTO": "x",
}  # fmt: skip


def stranger(automatic: bool) -> Driver:
    return Driver(automatic=automatic)


def named(automatic: bool) -> Driver:
    driver = Driver(automatic=automatic)
    driver.tell("USER a")
    return driver


def private(automatic: bool) -> Driver:
    return Driver(OPEN, tls=True, automatic=automatic).log_in()


def stranger_where_tls_is_required(automatic: bool) -> Driver:
    return Driver(Policy(), automatic=automatic)


def over_ipv6(automatic: bool) -> Driver:
    return logged_in(automatic=automatic, ipv6=True)


def member(automatic: bool) -> Driver:
    return logged_in(automatic=automatic)


def after_rnfr(automatic: bool) -> Driver:
    driver = logged_in(automatic=True)
    driver.tell("RNFR x")
    driver.automatic = automatic
    return driver


STATES = [stranger, named, member, private, stranger_where_tls_is_required, over_ipv6, after_rnfr]
ROWS = [
    row
    for row in (*COMMANDS.values(), *SITE_COMMANDS.values(), *OPTS_COMMANDS.values())
    if row.subcommands is None and not row.drops
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_in_every_state_gets_one_answer(row: Command, state: Callable[[bool], Driver]) -> None:
    for spelling in (row.verb, row.verb.lower(), *row.aliases):
        for argument in ("", ARGUMENTS.get(row.name, ""), "\xe9 garbage"):
            driver = state(False)
            driver.events()
            line = f"{row.parent} {spelling} {argument}".strip()
            final = [text for text in driver.tell(line).split("\r\n") if text[:3].isdigit() and text[3] == " "]
            events = driver.events()
            # 234 and 221 are final replies that come with an event of their own.
            assert len(final) + len(events) == (2 if events and final else 1), (final, events)
            if final and events:
                assert isinstance(events[0], StartTls | Quit)
            driver = state(True)
            driver.automatic = True
            driver.tell(line)
            assert driver.tell("SYST") in ("215 UNIX Type: L8\r\n", ""), line
            assert driver.engine.closed == (row.verb == "QUIT")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_in_a_transfer_is_answered_now_or_afterwards(row: Command) -> None:
    driver = logged_in()
    driver.tell("RETR x")
    driver.engine.reply(150, "Now.")
    driver.said()
    driver.events()
    driver.tell(f"{row.parent} {row.verb} {ARGUMENTS.get(row.name, '')}".strip())
    for event in driver.events():
        assert isinstance(event, Abort) or (isinstance(event, Request) and event.aside)
        if isinstance(event, Request):
            driver.engine.reply_aside(211, "Fine.")
    driver.engine.reply(226, "Done.")
    driver.automatic = True
    for event in driver.engine.events():
        driver.seen.append(event)
        driver.answer(event)
    driver.drain()
    assert driver.tell("SYST") == ("" if row.verb == "QUIT" else "215 UNIX Type: L8\r\n")


# Arbitrary input. AUTH and ABOR are left out where input is cut: what they do depends on when they come.

LINES = st.one_of(
    st.sampled_from(
        [
            f"{row.parent} {row.verb} {ARGUMENTS.get(row.name, '')}".strip().encode()
            for row in ROWS
            if row.verb not in ("AUTH", "ABOR")
        ]
    ),
    st.binary(max_size=30),
    st.sampled_from([b"", b"\xff\xf4\xff\xf2PWD", b"\xff\xfa\x01\xff\xf0NOOP", b"\x16\x03", b"GET /", b"a" * 300]),
)
INPUT = st.lists(LINES, max_size=25).flatmap(
    lambda lines: st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b""]), min_size=len(lines), max_size=len(lines)).map(
        lambda ends: b"".join(line + end for line, end in zip(lines, ends, strict=True))
    )
)
SMALL = Policy(tls=TlsPolicy.OPTIONAL, private_data=False, max_line_bytes=200)


class RawDriver(Driver):
    def said(self) -> str:
        return self.drain().decode("latin-1")


@given(INPUT, st.lists(st.integers(0, 400), max_size=8))
def test_how_the_bytes_are_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    outcomes = []
    for pieces in ([data], [data[a:b] for a, b in pairwise(edges)], *whole_and_bytewise(data)):
        driver = RawDriver(SMALL, automatic=True).log_in()
        outcomes.append(("".join(driver.tell(piece) for piece in pieces), driver.events()))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    output = outcomes[0][0]
    assert output == "" or output.endswith("\r\n")
    for line in output.split("\r\n")[:-1]:
        assert line[:1] == " " or (line[:3].isdigit() and line[3] in " -")
        assert line.isprintable() or not line.isascii()


@given(st.lists(st.binary(max_size=3000), max_size=10), st.booleans())
def test_arbitrary_bytes_never_raise_and_memory_is_bounded(pieces: list[bytes], logged: bool) -> None:
    driver = RawDriver(SMALL)
    if logged:
        driver.log_in()
        driver.tell("RETR x")
    for piece in pieces:
        driver.tell(piece)
        assert len(driver.engine._lines) <= SMALL.max_waiting_bytes
        assert driver.engine._held_cost <= SMALL.max_waiting_bytes + 10_000
    driver.engine.receive_eof()
    assert driver.engine.closed
