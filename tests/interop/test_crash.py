"""What survives kill -9: whole files, nothing half under a final name, uploads that go on, an exact ledger."""

from __future__ import annotations

import ftplib
import hashlib
import os
import random
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.interop.clients import HOST, connect
from tests.interop.live_server import PATIENCE_S, Account, LiveServer, running, wait_until

pytestmark = pytest.mark.interop

SIZE = 6 * 2**20 + 321
KILLS = 20
BLOCK = 64 * 1024


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[LiveServer]:
    """A server that each test may kill; it has two workers and waits for the disk at every commit."""
    with running(tmp_path / "instance", workers="2", fsync="always") as server:
        yield server


def content_for(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def send_until_killed(server: LiveServer, account: Account, content: bytes, moment: float) -> bool:
    """Uploads `content` and kills the server when the share `moment` of it is sent; above 1 it is killed right after
    the end was sent, when the server may be anywhere in its commit. Whether 226 came before the kill."""
    ftp = connect(server, account)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR film.bin")
    end = min(len(content), int(len(content) * moment))
    for start in range(0, end, BLOCK):
        data.sendall(content[start : min(start + BLOCK, end)])
    acknowledged = False
    if moment > 1:
        data.unwrap()  # type: ignore[attr-defined]  # close_notify: the upload is complete
        data.close()
        if moment > 1.5:
            acknowledged = ftp.voidresp().startswith("226")
    server.kill()
    data.close()
    ftp.close()
    return acknowledged


def resume(server: LiveServer, account: Account, content: bytes) -> None:
    """Does what any client does: asks SIZE, sends the rest, and believes nothing but the digest."""
    with connect(server, account) as ftp:
        ftp.voidcmd("TYPE I")
        try:
            offset = ftp.size("film.bin") or 0
        except ftplib.error_perm:
            offset = 0
        assert offset <= len(content)
        with ftp.transfercmd("STOR film.bin", rest=offset) as data:
            data.sendall(content[offset:])
            data.unwrap()  # type: ignore[attr-defined]
        digest = hashlib.sha256(content).hexdigest()
        assert digest in ftp.voidresp().lower()
        assert digest in ftp.sendcmd("HASH film.bin").lower()


def moments() -> list[float]:
    """Where the kills fall, as shares of the upload: most in its middle, some around and after its end."""
    chance = random.Random(20260)
    return [chance.uniform(0, 1) for _ in range(KILLS - 6)] + [chance.uniform(1, 1.5) for _ in range(4)] + [1.6, 1.7]


def test_kill_at_random_moments_of_an_upload(victim: LiveServer) -> None:
    account = victim.add_account("crash")
    final = victim.home(account) / "film.bin"
    for number, moment in enumerate(moments()):
        content = content_for(number)
        acknowledged = send_until_killed(victim, account, content, moment)
        if moment <= 1 and int(SIZE * moment) < SIZE:
            assert not final.exists(), f"a partial file under its final name, killed at {moment:.3f}"
        else:
            assert not final.exists() or final.read_bytes() == content, f"killed at {moment:.3f}"
        assert final.exists() or not acknowledged, "226 was said, and the file is gone"
        victim.start()
        resume(victim, account, content)
        assert final.read_bytes() == content
        victim.assert_no_drift(account)
        with connect(victim, account) as ftp:
            ftp.delete("film.bin")


def test_kill_during_a_replacement_keeps_the_old_file(victim: LiveServer) -> None:
    account = victim.add_account("replace")
    final = victim.home(account) / "film.bin"
    old = content_for(100)
    with connect(victim, account) as ftp:
        assert store(ftp, "film.bin", old).startswith("226")
    for number, moment in enumerate((0.05, 0.6, 0.999)):
        send_until_killed(victim, account, content_for(101 + number), moment)
        assert final.read_bytes() == old
        victim.start()
        victim.assert_no_drift(account)


def test_a_killed_worker_is_replaced_and_its_upload_goes_on(victim: LiveServer) -> None:
    account = victim.add_account("worker")
    content = content_for(200)
    ftp = connect(victim, account)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR film.bin")
    data.sendall(content[: SIZE // 2])
    workers = victim.json("status")[0]["worker_pids"]
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    ftp.close()
    data.close()
    wait_until(lambda: answers(victim), "a new worker answered")
    assert not (victim.home(account) / "film.bin").exists()
    resume(victim, account, content)
    victim.assert_no_drift(account)


def answers(server: LiveServer) -> bool:
    """Whether somebody greets at the control port."""
    try:
        with socket.create_connection((HOST, server.port), PATIENCE_S) as connection:
            return connection.recv(100).startswith(b"220")
    except OSError:
        return False


def test_fifty_parallel_uploads_into_a_quota_for_twenty(victim: LiveServer) -> None:
    size = 256 * 1024
    account = victim.add_account("crowd", "--quota", str(20 * size))
    content = content_for(300)[:size]

    def upload(number: int) -> str:
        with connect(victim, account) as ftp:
            ftp.voidcmd("TYPE I")
            try:
                with ftp.transfercmd(f"STOR file{number}") as data:
                    data.sendall(content)
                    data.unwrap()  # type: ignore[attr-defined]
            except OSError:
                pass  # refused in the middle: the reply tells
            return ftp.getmultiline()[:3]

    with ThreadPoolExecutor(50) as crowd:
        replies = list(crowd.map(upload, range(50)))
    stored = sorted(victim.home(account).iterdir())
    assert set(replies) == {"226", "552"}, replies
    assert len(stored) == replies.count("226")
    assert all(path.read_bytes() == content for path in stored)
    assert sum(path.stat().st_size for path in stored) <= 20 * size
    assert victim.usage(account)["used_bytes"] <= 20 * size
    victim.assert_no_drift(account)


def test_an_exact_fit_succeeds_and_one_byte_more_fails(victim: LiveServer) -> None:
    account = victim.add_account("exact", "--quota", str(2**20))
    with connect(victim, account) as ftp:
        assert store(ftp, "fits", bytes(2**20)).startswith("226")
        assert store(ftp, "over", b"x").startswith("552")
        ftp.delete("fits")
        assert store(ftp, "over", bytes(2**20 + 1)).startswith("552")
        assert ftp.nlst() == []
    assert victim.usage(account)["used_bytes"] <= 2**20
    victim.assert_no_drift(account)


def store(ftp: ftplib.FTP_TLS, name: str, content: bytes) -> str:
    """The reply that ends (or refuses) an upload."""
    ftp.voidcmd("TYPE I")
    try:
        with ftp.transfercmd(f"STOR {name}") as data:
            data.sendall(content)
            data.unwrap()  # type: ignore[attr-defined]
    except ftplib.error_perm as refusal:
        return str(refusal)
    except OSError:
        pass
    return ftp.getmultiline()
