from __future__ import annotations

from dataclasses import replace

from tests.servers.ftp.conftest import Serve
from tests.servers.running import SETTINGS, House, RunningServer


def test_the_session(server: RunningServer) -> None:
    with server.visitor() as wire:
        assert wire.ask("STAT").split("\n") == [
            "211-Status:",
            " Logged in as alice from 127.0.0.1",
            " Folder: /",
            " TYPE I, MODE S, STRU F, names in utf-8 so far",
            " Control connection in the clear, data connections PROT C",
            " An idle session is closed after 900 s",
            " No transfer is running",
            "211 End",
        ]


def test_quota(server: RunningServer, house: House) -> None:
    with server.visitor() as wire:
        assert wire.ask("SITE QUOTA").split("\n")[1:3] == [
            " Bytes: 0 used of any number",
            " Files: 0 used of any number",
        ]
    house.accounts.update("alice", quota_bytes=1000, max_files=5)
    house.services.ledger.limits_changed(house.accounts.get("alice").id)
    with server.visitor() as wire:
        assert wire.ask("SITE QUOTA").split("\n")[1:3] == [" Bytes: 0 used of 1000", " Files: 0 used of 5"]


def test_who_shows_the_accounts_own_sessions(server: RunningServer, house: House) -> None:
    house.accounts.create("bob", "secret")
    with server.visitor() as wire, server.visitor() as other, server.greeted() as bob, other.data() as data:
        bob.log_in("bob")
        assert other.ask("STOR file").startswith("150")
        data.send(b"12345")
        while "5 bytes so far" not in other.ask("STAT"):
            pass
        first, *lines, last = wire.ask("SITE WHO").split("\n")
        assert (first, last, len(lines)) == ("200-Sessions:", "200 End", 2)
        assert lines[0].endswith(" ftp from 127.0.0.1: idle")
        assert lines[1].endswith(" ftp from 127.0.0.1: upload /file, 5 bytes so far")


def test_a_session_may_give_up_earlier_and_not_later(serve: Serve) -> None:
    server = serve(replace(SETTINGS, times=replace(SETTINGS.times, idle_s=100.0)))
    with server.visitor() as wire:
        assert wire.ask("SITE IDLE") == "200 An idle session is closed after 100 s."
        assert wire.ask("SITE IDLE 101") == "501 The time lies between 10 and 100 s."
        assert wire.ask("SITE IDLE 9") == "501 The time lies between 10 and 100 s."
        assert wire.ask("SITE IDLE 50") == "200 An idle session is closed after 50 s."
        assert wire.ask("SITE IDLE") == "200 An idle session is closed after 50 s."
