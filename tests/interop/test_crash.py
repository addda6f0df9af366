"""What survives kill -9: whole files, nothing half under a final name, uploads that go on, an exact ledger."""

from __future__ import annotations

import contextlib
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
from tests.interop.clients import HOST, Curl, connect
from tests.interop.live_server import PATIENCE_S, Account, LiveServer, running, wait_until

pytestmark = pytest.mark.interop

SIZE = 3 * 2**20 + 321
KILLS = 20
BLOCK = 64 * 1024


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with two workers."""
    with running(tmp_path_factory.mktemp("pair"), workers="2") as server:
        yield server


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that is killed as a whole again and again, and started again by the test that did it."""
    with running(tmp_path_factory.mktemp("victim"), fsync="always") as server:
        yield server


def content_for(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def send_until_killed(server: LiveServer, account: Account, name: str, content: bytes, moment: float) -> bool:
    """Uploads `content` and kills the server when the share `moment` of it is sent; above 1 so many seconds after its
    end was sent, when the server may be anywhere in its commit; above 1.5 after 226. Whether 226 came."""
    ftp = connect(server, account)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd(f"STOR {name}")
    end = min(len(content), int(len(content) * moment))
    for start in range(0, end, BLOCK):
        data.sendall(content[start : min(start + BLOCK, end)])
    acknowledged = False
    if moment > 1:
        data.settimeout(moment - 1)
        with contextlib.suppress(OSError):  # the server's own goodbye may be late
            data.unwrap()  # type: ignore[attr-defined]  # close_notify: the upload is complete
        if moment > 1.5:
            acknowledged = ftp.voidresp().startswith("226")
    server.kill()
    data.close()
    ftp.close()
    return acknowledged


def resume(server: LiveServer, account: Account, name: str, content: bytes) -> int:
    """Does what any client does: asks SIZE, sends the rest, and believes nothing but the digest. Where it went on."""
    with connect(server, account) as ftp:
        ftp.voidcmd("TYPE I")
        try:
            offset = ftp.size(name) or 0
        except ftplib.error_perm:
            offset = 0
        assert offset <= len(content)
        with ftp.transfercmd(f"STOR {name}", rest=offset) as data:
            data.sendall(content[offset:])
            data.unwrap()  # type: ignore[attr-defined]
        digest = hashlib.sha256(content).hexdigest()
        assert digest in ftp.voidresp().lower()
        assert digest in ftp.sendcmd(f"HASH {name}").lower()
        return offset


def moments() -> list[float]:
    """Where the kills fall, as shares of the upload: most in its middle, some around and after its end."""
    chance = random.Random(20260)
    middles = [chance.uniform(0, 1) for _ in range(KILLS - 6)]
    return [*middles, 1.0001, 1.0003, 1.001, 1.003, 1.6, 1.7]


def test_kill_at_random_moments_of_an_upload(victim: LiveServer) -> None:
    account = victim.add_account("crash")
    offsets = []
    for number, moment in enumerate(moments()):
        name, content = f"film{number}.bin", content_for(number)
        final = victim.home(account) / name
        acknowledged = send_until_killed(victim, account, name, content, moment)
        if moment <= 1 and int(SIZE * moment) < SIZE:
            assert not final.exists(), f"a partial file under its final name, killed at {moment:.3f}"
        else:
            assert not final.exists() or final.read_bytes() == content, f"killed at {moment:.3f}"
        assert final.exists() or not acknowledged, "226 was said, and the file is gone"
        victim.start()
        offsets.append(resume(victim, account, name, content))
        assert final.read_bytes() == content
        victim.assert_no_drift(account)
    assert sum(offset > 0 for offset in offsets) > KILLS // 2, offsets


def test_kill_during_a_replacement_keeps_the_old_file(victim: LiveServer) -> None:
    account = victim.add_account("replace")
    final = victim.home(account) / "film.bin"
    old = content_for(100)
    with connect(victim, account) as ftp:
        assert store(ftp, "film.bin", old).startswith("226")
    for number, moment in enumerate((0.05, 0.6, 0.999)):
        send_until_killed(victim, account, "film.bin", content_for(101 + number), moment)
        assert final.read_bytes() == old
        victim.start()
        victim.assert_no_drift(account)


def test_a_killed_worker_is_replaced_and_its_upload_goes_on(pair: LiveServer) -> None:
    account = pair.add_account("worker")
    content = content_for(200)
    ftp = connect(pair, account)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR film.bin")
    data.sendall(content[: SIZE // 2])
    workers = pair.json("status")[0]["worker_pids"]
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    ftp.close()
    data.close()
    wait_until(lambda: answers(pair), "a new worker answered")
    assert not (pair.home(account) / "film.bin").exists()
    resume(pair, account, "film.bin", content)
    pair.assert_no_drift(account)


def answers(server: LiveServer) -> bool:
    """Whether somebody greets at the control port."""
    try:
        with socket.create_connection((HOST, server.port), PATIENCE_S) as connection:
            return connection.recv(100).startswith(b"220")
    except OSError:
        return False


@pytest.mark.parametrize("rate", [(), ("--limit-rate", "96k")], ids=["as fast as they can", "slowly"])
def test_fifty_parallel_uploads_into_a_quota_for_twenty(
    pair: LiveServer, tmp_path: Path, rate: tuple[str, ...]
) -> None:
    size = 256 * 1024
    account = pair.add_account(f"crowd{len(rate)}", "--quota", str(20 * size))
    content = content_for(300)[:size]
    local = tmp_path / "local"
    local.write_bytes(content)
    curl = Curl(pair, account)

    def upload(number: int) -> int:
        code, _ = curl.attempt(*rate, "--upload-file", local, f"{curl.base}/file{number}")
        return code

    with ThreadPoolExecutor(50) as crowd:
        codes = list(crowd.map(upload, range(50)))
    stored = sorted(pair.home(account).iterdir())
    assert (codes.count(0), len(stored)) == (20, 20), codes
    assert all(path.read_bytes() == content for path in stored)
    assert pair.usage(account)["used_bytes"] == 20 * size
    pair.assert_no_drift(account)


def test_an_exact_fit_succeeds_and_one_byte_more_fails(pair: LiveServer) -> None:
    account = pair.add_account("exact", "--quota", str(2**20))
    with connect(pair, account) as ftp:
        assert store(ftp, "fits", bytes(2**20)).startswith("226")
        assert store(ftp, "over", b"x").startswith("552")
        ftp.delete("fits")
        assert store(ftp, "over", bytes(2**20 + 1)).startswith("552")
        assert ftp.nlst() == []
    assert pair.usage(account)["used_bytes"] <= 2**20
    pair.assert_no_drift(account)


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
