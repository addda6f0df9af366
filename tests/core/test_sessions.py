from __future__ import annotations

from pathlib import Path

import pytest

from homeport.core.accounts import Account, AccountLimits
from homeport.core.errors import TooManySessions
from homeport.core.rights import Rights
from homeport.core.sessions import SessionLimits, Sessions, address_group
from homeport.core.tally import SharedTally

NOW = 1_700_000_000.0


def account(account_id: int = 1, name: str = "ann", max_sessions: int | None = None) -> Account:
    return Account(
        id=account_id,
        name=name,
        home=Path("/srv") / name,
        rights=Rights.ALL,
        quota_bytes=None,
        max_files=None,
        enabled=True,
        expires_at=None,
        limits=AccountLimits(max_sessions=max_sessions, upload_bytes_per_s=None, download_bytes_per_s=None),
        charset=None,
        allow_exec=False,
    )


def registry(**limits: int) -> Sessions:
    return Sessions(SessionLimits(**limits), clock=lambda: NOW, monotonic=lambda: 5.0)


@pytest.mark.parametrize(
    ("limits", "peers", "refused", "text"),
    [
        ({"total": 2}, ["192.0.2.1", "192.0.2.2"], "192.0.2.3", "the server (limit 2)"),
        ({"per_address": 1}, ["192.0.2.1"], "192.0.2.1", "your address (limit 1)"),
        ({"per_address": 1}, ["192.0.2.1"], "::ffff:192.0.2.1", "your address (limit 1)"),
        ({"per_address": 1}, ["2001:db8::1"], "2001:db8::2", "your address (limit 1)"),
        ({"total": 0}, [], "192.0.2.1", "the server (limit 0)"),
    ],
)
def test_limits_of_connections(limits: dict[str, int], peers: list[str], refused: str, text: str) -> None:
    sessions = registry(**limits)
    records = [sessions.open("ftp", peer) for peer in peers]
    with pytest.raises(TooManySessions) as caught:
        sessions.open("ftp", refused)
    assert str(caught.value) == f"too many sessions for {text}; close one and try again"
    assert len(sessions) == len(peers)
    for record in records:
        sessions.close(record)
        sessions.open("ftp", refused)
        break


def test_new_limits_hold_for_sessions_to_come() -> None:
    sessions = registry()
    sessions.open("ftp", "192.0.2.1")
    sessions.set_limits(SessionLimits(total=1))
    with pytest.raises(TooManySessions):
        sessions.open("ftp", "192.0.2.1")


@pytest.mark.parametrize(("own", "common", "limit"), [(2, 5, 2), (None, 2, 2), (2, None, 2)])
def test_limits_of_an_account(own: int | None, common: int | None, limit: int) -> None:
    sessions = Sessions(SessionLimits(per_account=common))
    ann = account(max_sessions=own)
    records = [sessions.open("ftp", "192.0.2.1") for _ in range(limit + 1)]
    for record in records[:-1]:
        sessions.log_in(record, ann)
    with pytest.raises(TooManySessions, match=r"^too many sessions for this account \(limit 2\)"):
        sessions.log_in(records[-1], ann)
    assert records[-1].account is None
    sessions.log_in(records[0], ann)  # again: counts once
    sessions.log_in(records[-1], account(2, "bob"))
    sessions.close(records[0])
    sessions.log_in(records[-1], ann)
    assert [record.account for record in sessions.of_account(1)] == ["ann", "ann"]
    assert sessions.of_account(2) == []
    sessions.log_out(records[1])
    assert (records[1].account, records[1].doing) == (None, "connected")
    sessions.log_in(sessions.open("ftp", "192.0.2.1"), ann)


def test_a_closed_session_counts_nowhere() -> None:
    sessions = registry(per_account=1)
    record, late = sessions.open("ftp", "192.0.2.1"), sessions.open("ftp", "192.0.2.1")
    sessions.log_in(record, account())
    sessions.close(record)
    sessions.close(record)
    sessions.close(late)
    sessions.log_in(late, account())  # the login ended after the connection
    sessions.log_out(late)
    sessions.log_out(late)
    assert len(sessions) == 0
    assert not sessions._accounts
    assert not sessions._addresses


def test_what_who_shows() -> None:
    sessions = registry()
    record = sessions.open("ftp", "192.0.2.1")
    sessions.log_in(record, account())
    record.begin("upload", "/film", total_bytes=100)
    record.moved_bytes = 40
    (shown,) = sessions.snapshot()
    record.rest()
    assert shown.as_object() == {
        "id": record.id,
        "protocol": "ftp",
        "peer": "192.0.2.1",
        "account": "ann",
        "since": NOW,
        "doing": "upload",
        "path": "/film",
        "moved_bytes": 40,
        "total_bytes": 100,
    }
    assert (record.doing, record.path, record.moved_bytes, record.total_bytes) == ("idle", None, 0, None)
    assert record.started_at == 5.0


def test_kick_by_id_or_name() -> None:
    sessions, told = registry(), list[str]()
    first = sessions.open("ftp", "192.0.2.1", told.append)
    second = sessions.open("ssh", "192.0.2.1")
    sessions.log_in(first, account())
    sessions.log_in(second, account())
    assert sessions.kick(first.id, "enough") == 1
    second.kick = told.append
    assert sessions.kick("ann", "goodbye") == 2
    assert sessions.kick("nobody", "?") == 0
    assert told == ["enough", "goodbye", "goodbye"]
    assert first.id != second.id


@pytest.mark.parametrize(
    ("peer", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_addresses_that_count_as_one(peer: str, group: str) -> None:
    assert address_group(peer) == group


def test_limits_hold_for_all_processes_together(tmp_path: Path) -> None:
    limits = SessionLimits(total=4, per_address=3, per_account=2)
    tallies = [SharedTally(tmp_path, slot, 2) for slot in range(2)]
    here, there = (Sessions(limits, tally) for tally in tallies)
    first, second = here.open("ftp", "192.0.2.1"), there.open("ftp", "192.0.2.1")
    third = there.open("ftp", "192.0.2.1")
    with pytest.raises(TooManySessions, match=r"your address \(limit 3\)"):
        here.open("ftp", "192.0.2.1")
    other = here.open("ftp", "192.0.2.2")
    with pytest.raises(TooManySessions, match=r"the server \(limit 4\)"):
        there.open("ftp", "192.0.2.3")
    here.log_in(first, account())
    there.log_in(second, account())
    for sessions, record in ((here, other), (there, third)):
        with pytest.raises(TooManySessions, match=r"this account \(limit 2\)"):
            sessions.log_in(record, account())
    there.log_out(second)
    here.log_in(other, account())
    here.close(first)
    there.log_in(third, account())
    with pytest.raises(TooManySessions):
        there.log_in(second, account())
    here.log_in(other, account(2, "bob"))
    there.log_in(second, account())
    there.open("ftp", "192.0.2.3")
    for tally in tallies:
        tally.close()
