"""The real server in processes of its own, as `homeport serve` starts it, and the commands that act on it."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.conftest import LONGEST_S, Running, alive, eventually

from homeport.daemon.instance import Instance

HOMEPORT = str(Path(sys.executable).with_name("homeport"))
OPTIONS = [
    "workers=1",
    "ftp.port=0",
    "time.port=0",
    "ntp.port=0",
    "chat.port=0",
    "hptp.port=0",
    "ssh.port=0",
    "ftp.passive_ports=any",
    'ftp.listen=["127.0.0.1"]',
    "login.first_delay_s=0.01",
    "drain_timeout_s=2",
]
PASSWORD = "the secret word"


def serve(directory: Path, *overrides: str) -> Running:
    directory.mkdir(mode=0o700, exist_ok=True)
    options = [word for override in [*OPTIONS, *overrides] for word in ("--set", override)]
    with open(directory / "stderr", "w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [HOMEPORT, "serve", "--dir", str(directory), *options], stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    return Running(process, Instance(directory))


def end(running: Running) -> None:
    running.process.kill()
    running.process.wait()
    assert running.process.stdout is not None
    running.process.stdout.close()


def command(directory: Path, *words: str, stdin: str = "", code: int = 0) -> str:
    done = subprocess.run(
        [HOMEPORT, *words, "--dir", str(directory)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def objects(directory: Path, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(directory, *words, "--json").splitlines()]


def add(directory: Path, name: str, *options: str) -> None:
    command(directory, "user", "add", name, "--password-stdin", *options, stdin=f"{PASSWORD}\n")


def port_of(running: Running) -> int:
    port: int = running.status()["services"]["ftp"]["port"]
    return port


@contextmanager
def session(running: Running, name: str, password: str = PASSWORD) -> Iterator[ftplib.FTP_TLS]:
    context = ssl.create_default_context(cafile=str(running.instance.directory / "tls" / "cert.pem"))
    client = ftplib.FTP_TLS(context=context, timeout=LONGEST_S)
    client.connect("127.0.0.1", port_of(running))
    try:
        client.login(name, password)
        client.prot_p()
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for the tests that leave it as they found it, with the account `first`."""
    directory = tmp_path_factory.mktemp("serve") / "instance"
    directory.mkdir(mode=0o700)
    add(directory, "first")
    running = serve(directory)
    running.ready_line()
    yield running
    end(running)


def test_the_first_run(tmp_path: Path) -> None:
    directory = tmp_path / "an instance"
    running = serve(directory)
    try:
        running.ready_line()
        said = running.output
        assert said.splitlines()[-1].startswith("ready")
        found = re.search(r"made the account (\S+)\npassword, shown this once: (\S+)\n", said)
        assert found is not None
        name, password = found.groups()
        paste_curl(directory, said, name, password)
        paste_lftp(said, name, password)
        check_fingerprints(running, said)
        settings = (directory / "homeport.toml").read_text(encoding="utf-8")
        assert "# port = 2121\n" in settings
        assert running.log() == ""
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.process.stdout is not None
        assert running.process.stdout.read() == ""  # nothing after the ready line
        assert not [path for path in (directory / "run").iterdir() if path.name != "server.lock"]
    finally:
        end(running)
    again = serve(directory)
    try:
        again.ready_line()
        assert "password, shown" not in again.output
    finally:
        end(again)


def paste_curl(directory: Path, said: str, name: str, password: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    [line] = [line for line in said.splitlines() if line.startswith("  curl ")]
    (directory / "FILE").write_bytes(b"x" * 100_000)
    words = shlex.split(line)
    words[words.index(name)] = f"{name}:{password}"  # curl would ask on the terminal
    subprocess.run([*words, "-sS"], cwd=directory, check=True, timeout=60)
    assert (directory / "homes" / name / "FILE").stat().st_size == 100_000


def paste_lftp(said: str, name: str, password: str) -> None:
    if shutil.which("lftp") is None:
        pytest.skip("lftp is not installed")
    [line] = [line for line in said.splitlines() if line.startswith("  lftp ")]
    words = shlex.split(line)
    words[words.index(name)] = f"{name},{password}"
    words[words.index("-e") + 1] += "; ls; bye"
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "FILE" in done.stdout


def check_fingerprints(running: Running, said: str) -> None:
    from homeport.daemon.certificate import facts_of

    facts = facts_of(running.instance.directory / "tls" / "cert.pem")
    assert f"key fingerprint: sha256:{facts.key_sha256}\n" in said
    assert f"certificate fingerprint: sha256:{facts.certificate_sha256}\n" in said


def assert_ended(client: ftplib.FTP_TLS) -> None:
    """The server says 421, or hangs up, as soon as the session's turn has come."""

    def ended() -> bool:
        try:
            client.voidcmd("NOOP")
        except (ftplib.error_temp, EOFError, OSError):
            return True
        return False

    eventually(ended, "the end of the session")


def assert_login_refused(running: Running, name: str) -> None:
    try:
        with session(running, name):
            raise AssertionError("logged in")
    except (ftplib.error_perm, ftplib.error_temp) as error:
        assert str(error)[:3] in {"530", "421", "450"}, error  # noqa: PT017 - one of two classes


def assert_upload_refused(client: ftplib.FTP_TLS, name: str, size: int) -> None:
    data = client.transfercmd(f"STOR {name}")
    with contextlib.suppress(OSError):  # the server need not take what it refuses
        data.sendall(b"x" * size)
    data.close()
    with pytest.raises(ftplib.error_perm, match="552"):
        client.voidresp()


def test_who_and_kick(server: Running) -> None:
    directory = server.instance.directory
    add(directory, "kicked")
    with session(server, "kicked") as client:
        [shown] = objects(directory, "who")
        assert (shown["account"], shown["protocol"], shown["peer"]) == ("kicked", "ftp", "127.0.0.1")
        assert objects(directory, "status")[0]["sessions"] == 1
        assert "kicked" in command(directory, "who")
        assert command(directory, "kick", shown["id"]) == f"ended 1 session of {shown['id']}\n"
        assert_ended(client)
    eventually(lambda: objects(directory, "status")[0]["sessions"] == 0, "the session gone")
    assert command(directory, "who") == "nobody is connected\n"
    command(directory, "kick", "kicked", code=3)
    log = (directory / "logs" / "audit.jsonl").read_text(encoding="ascii")
    assert f'"subject": "{shown["id"]}"' in log


EFFECTS = [
    ("disable", ["user", "disable", "NAME"], ""),
    ("passwd", ["user", "passwd", "NAME", "--password-stdin"], "another secret word\n"),
    ("remove", ["user", "remove", "NAME"], ""),
    ("expire", ["user", "set", "NAME", "--expires", "2020-01-01"], ""),
]


@pytest.mark.parametrize(("name", "words", "stdin"), EFFECTS, ids=[row[0] for row in EFFECTS])
def test_a_change_ends_the_accounts_sessions_at_once(server: Running, name: str, words: list[str], stdin: str) -> None:
    directory = server.instance.directory
    add(directory, name)
    with session(server, name) as client:
        command(directory, *(word.replace("NAME", name) for word in words), stdin=stdin)
        assert_ended(client)
    assert_login_refused(server, name)


def test_new_limits_hold_in_open_sessions(server: Running) -> None:
    directory = server.instance.directory
    add(directory, "limited", "--quota", "1MiB")
    with session(server, "limited") as client:
        client.storbinary("STOR one", io.BytesIO(b"x" * 600_000))
        assert_upload_refused(client, "two", 600_000)
        command(directory, "user", "set", "limited", "--quota", "2MiB")
        client.storbinary("STOR two", io.BytesIO(b"x" * 600_000))
        command(directory, "user", "set", "limited", "--rights", "read-only")
        with pytest.raises(ftplib.error_perm, match="550"):
            client.delete("two")
    [usage] = objects(directory, "quota", "show", "limited")
    assert (usage["used_bytes"], usage["used_files"], usage["quota_bytes"]) == (1_200_000, 2, 2 * 1024**2)


def test_quota_check_is_the_same_up_and_down(server: Running) -> None:
    directory = server.instance.directory
    add(directory, "counted")
    with session(server, "counted") as client:
        client.storbinary("STOR file", io.BytesIO(b"x" * 1000))
        (directory / "homes" / "counted" / "behind").write_bytes(b"y" * 500)
        [found] = objects(directory, "quota", "check", "counted")
        assert (found["used_bytes"], found["drift_bytes"], found["drift_files"]) == (1500, 500, 1)
        client.storbinary("STOR more", io.BytesIO(b"x" * 10))
    [found] = objects(directory, "quota", "check", "counted")
    assert (found["used_bytes"], found["drift_bytes"], found["drift_files"]) == (1510, 0, 0)


def test_a_ban_is_obeyed_at_the_next_login(server: Running) -> None:
    directory = server.instance.directory
    add(directory, "banned")
    command(directory, "ban", "add", "127.0.0.1", "--name", "banned", "--reason", "test")
    assert_login_refused(server, "banned")
    assert [ban["subject"] for ban in objects(directory, "ban", "list")] == ["banned 127.0.0.1"]
    command(directory, "ban", "remove", "banned")
    with session(server, "banned"):
        pass


def test_a_killed_worker_leaves_nothing_behind(server: Running) -> None:
    directory = server.instance.directory
    add(directory, "resumed")
    [worker] = server.worker_pids()
    payload = os.urandom(2_000_000)
    before = staged(directory)
    with session(server, "resumed") as client:
        client.voidcmd("TYPE I")
        data = client.transfercmd("STOR file")
        data.sendall(payload[:1_000_000])
        eventually(lambda: staged(directory) > before, "bytes in the stage")
        os.kill(worker, signal.SIGKILL)
        data.close()
    eventually(lambda: server.worker_pids() not in ([], [worker]), "another worker")
    assert not (directory / "homes" / "resumed" / "file").exists()
    with session(server, "resumed") as client:
        client.voidcmd("TYPE I")
        there = client.size("file")
        assert there is not None
        assert 0 < there <= 1_000_000
        client.storbinary("STOR file", io.BytesIO(payload[there:]), rest=there)
    assert (directory / "homes" / "resumed" / "file").read_bytes() == payload
    [found] = objects(directory, "quota", "check", "resumed")
    assert (found["used_bytes"], found["drift_bytes"], found["drift_files"]) == (2_000_000, 0, 0)


def staged(directory: Path) -> int:
    return sum(path.stat().st_size for path in (directory / "stage").rglob("*") if path.is_file())


def test_a_killed_master_takes_its_workers_along(tmp_path: Path) -> None:
    directory = tmp_path / "instance"
    directory.mkdir(mode=0o700)
    add(directory, "bob")
    running = serve(directory)
    try:
        running.ready_line()
        port = port_of(running)
        pids = running.worker_pids()
        running.process.kill()
        running.process.wait()
        eventually(lambda: not any(map(alive, pids)), "the worker gone")
    finally:
        end(running)
    again = serve(directory, f"ftp.port={port}")
    try:
        again.ready_line()
        with session(again, "bob") as client:
            assert client.nlst() == []
    finally:
        end(again)


def test_reload_takes_a_new_certificate_and_greeting(tmp_path: Path) -> None:
    from homeport.daemon.certificate import make_self_signed

    directory = tmp_path / "instance"
    directory.mkdir(mode=0o700)
    add(directory, "bob")
    running = serve(directory)
    try:
        running.ready_line()
        with session(running, "bob") as before:
            (directory / "homeport.toml").write_text('[ftp]\ngreeting = "Ahoy"\n', encoding="utf-8")
            (directory / "tls" / "cert.pem").unlink()
            (directory / "tls" / "key.pem").unlink()
            make_self_signed(directory / "tls" / "cert.pem", directory / "tls" / "key.pem")
            assert "applied: ftp.greeting; certificate: read again" in command(directory, "reload")
            before.voidcmd("NOOP")
            with session(running, "bob") as after:  # verified against the new certificate
                assert "Ahoy" in (after.welcome or "")
            (directory / "tls" / "key.pem").write_text("broken", encoding="ascii")
            assert "tls.certificate" in command(directory, "reload", code=2)
            with session(running, "bob") as after:
                after.voidcmd("NOOP")
    finally:
        end(running)


def test_a_broken_file_does_not_keep_the_administrator_from_a_running_server(server: Running) -> None:
    directory = server.instance.directory
    file = directory / "homeport.toml"
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text("[ftp]\nprot = 2121\n", encoding="utf-8")
    try:
        assert "ftp.prot: unknown key; did you mean ftp.port?" in command(directory, "reload", code=2)
        add(directory, "eve")
        assert "eve" in [account["name"] for account in objects(directory, "user", "list")]
        command(directory, "ban", "list")
        command(directory, "room", "list")
        command(directory, "user", "remove", "eve", "--delete-files", "--yes")
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
    assert objects(directory, "status")[0]["state"] == "ready"


def test_doctor_looks_at_a_running_server(server: Running) -> None:
    done = subprocess.run(
        [HOMEPORT, "doctor", "--json", "--dir", str(server.instance.directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = [(finding["check"], finding["text"]) for finding in map(json.loads, done.stdout.splitlines())]
    assert dict(found)["server"].startswith("ready, process ")
    assert ("ports", f"ftp answers on 127.0.0.1 port {port_of(server)}") in found


def test_a_transfer_may_finish_while_the_server_stops(tmp_path: Path) -> None:
    directory = tmp_path / "instance"
    directory.mkdir(mode=0o700)
    add(directory, "bob")
    running = serve(directory, "drain_timeout_s=60")
    try:
        running.ready_line()
        with session(running, "bob") as client, session(running, "bob") as idle:
            client.voidcmd("TYPE I")
            data = client.transfercmd("STOR file")
            data.sendall(b"x" * 100_000)
            eventually(lambda: staged(directory) > 0, "bytes in the stage")
            running.process.send_signal(signal.SIGTERM)
            assert_ended(idle)
            assert running.status()["state"] == "stopping"
            data.sendall(b"y" * 100_000)
            assert isinstance(data, ssl.SSLSocket)
            data.unwrap().close()
            assert client.voidresp().startswith("226")
        assert running.wait() == 0
        assert (directory / "homes" / "bob" / "file").stat().st_size == 200_000
    finally:
        end(running)


def test_two_workers_and_a_unix_socket(tmp_path: Path) -> None:
    directory = tmp_path / "instance"
    directory.mkdir(mode=0o700)
    add(directory, "bob")
    running = serve(directory, "workers=2", 'ftp.listen=["127.0.0.1", "unix:run/ftp"]')
    try:
        running.ready_line()
        status = running.status()
        assert status["workers"] == 2
        assert status["services"]["ftp"]["listen"] == [f"127.0.0.1:{port_of(running)}", f"unix:{directory}/run/ftp"]
        for number in range(8):
            with session(running, "bob") as client:
                client.storbinary(f"STOR file{number}", io.BytesIO(b"x" * 1000))
        [found] = objects(directory, "quota", "check", "bob")
        assert (found["used_bytes"], found["drift_bytes"], found["drift_files"]) == (8000, 0, 0)
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(LONGEST_S)
            local.connect(str(directory / "run" / "ftp"))
            assert local.recv(100).startswith(b"220")
    finally:
        end(running)


def test_json_events(tmp_path: Path) -> None:
    directory = tmp_path / "instance"
    words = ["serve", "--json", "--dir", str(directory), "--set", "ftp.port=0", "--set", "ftp.listen=127.0.0.1"]
    with subprocess.Popen([HOMEPORT, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        account, ready = (json.loads(process.stdout.readline()) for _ in range(2))
        process.terminate()
    assert (account["event"], ready["event"]) == ("account", "ready")
    assert ready["services"]["ftp"]["port"] > 0
    assert ready["fingerprint"].startswith("sha256:")


def test_stop_waits_until_the_server_is_gone(tmp_path: Path) -> None:
    running = serve(tmp_path / "instance")
    try:
        running.ready_line()
        directory = running.instance.directory
        began = time.monotonic()
        assert command(directory, "stop") == f"stopped (process {running.process.pid})\n"
        assert time.monotonic() - began < LONGEST_S
        assert running.wait() == 0
        assert command(directory, "stop") == f"no server is running on {directory}\n"
        command(directory, "status", code=1)
    finally:
        end(running)
