"""Remote commands as users meet them: OpenSSH's client against a server in processes of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from ftplib import FTP_TLS
from pathlib import Path

import pytest
from tests.interop.live_server import Account, LiveServer, require, running, wait_until
from tests.servers.sandbox.confined import require_sandbox

LARGE = 256 * 2**20
PATIENCE_S = 60.0


class Ssh:
    """OpenSSH's client for one account."""

    def __init__(self, server: LiveServer, account: Account, folder: Path) -> None:
        askpass = folder / f"askpass-{account.name}"
        askpass.write_text(f'#!/bin/sh\necho "{account.password}"\n', encoding="ascii")
        askpass.chmod(0o700)
        port = server.json("status")[0]["services"]["ssh"]["port"]
        options = (
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={folder}/known",
            "LogLevel=ERROR",
            "NumberOfPasswordPrompts=1",
        )
        self.command = [require("ssh"), "-F", "none", "-p", str(port)]
        self.command += [word for option in options for word in ("-o", option)]
        self.target = f"{account.name}@127.0.0.1"
        self.environment = os.environ | {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "LC_ALL": "C"}

    def start(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.command, *options, self.target, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def run(self, *words: str, given: bytes = b"", options: tuple[str, ...] = ()) -> tuple[int, bytes, bytes]:
        """Status, output, errors."""
        process = self.start(*words, options=options)
        output, errors = process.communicate(given, timeout=PATIENCE_S)
        return process.returncode, output, errors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """With two named commands, and two workers."""
    require_sandbox(tmp_path_factory.mktemp("probe"))
    directory = tmp_path_factory.mktemp("instance")
    (directory / "homeport.toml").write_text(
        '[exec.commands.sum]\nargv = ["/usr/bin/sha256sum", "{file}"]\nparameters.file = "path"\naccounts = "*"\n',
        encoding="utf-8",
    )
    with running(directory, workers="2", ftp__tls="optional") as server:
        yield server


@pytest.fixture
def account(server: LiveServer, request: pytest.FixtureRequest) -> Account:
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    return server.add_account(f"u{digest[:12]}", "--exec", "--quota", "100M")


@pytest.fixture
def ssh(server: LiveServer, account: Account, tmp_path: Path) -> Ssh:
    return Ssh(server, account, tmp_path)


def test_status_output_and_errors_apart(ssh: Ssh) -> None:
    assert ssh.run("echo out; echo err >&2; exit 42") == (42, b"out\n", b"err\n")
    assert ssh.run("cat", given=b"\x00\xff in") == (0, b"\x00\xff in", b"")
    assert ssh.run("kill -9 $$") == (137, b"", b"")


def test_a_large_output_is_whole_and_takes_no_memory(server: LiveServer, ssh: Ssh) -> None:
    ssh.run("true")
    before = _memory_kib(server)
    process = ssh.start(f"head -c {LARGE} /dev/zero")
    assert process.stdout is not None
    digest = hashlib.sha256()
    while part := process.stdout.read(2**20):
        digest.update(part)
    assert process.wait(PATIENCE_S) == 0
    process.communicate()
    assert digest.hexdigest() == hashlib.sha256(bytes(LARGE)).hexdigest()
    assert _memory_kib(server) - before < 32 * 1024


def _memory_kib(server: LiveServer) -> int:
    """The most that the server's processes have had at once."""
    master = server.json("status")[0]["pid"]
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except OSError:
            continue
        if master in (int(fields["PPid"]), int(fields["Pid"])):
            total += int(fields.get("VmHWM", "0 kB").split()[0])
    return total


def test_a_shell_in_a_terminal(ssh: Ssh) -> None:
    given = b"cd /tmp; pwd; tty; stty -a | head -n 1\nexit 3\n"
    status, output, _ = ssh.run(given=given, options=("-tt",))
    assert status == 3
    assert b"/tmp\r\n/dev/console\r\n" in output


def test_top_in_a_terminal(ssh: Ssh) -> None:
    status, output, _ = ssh.run("top -n 1", options=("-tt",))
    assert status == 0
    assert b"PID" in output


def test_ctrl_c_in_a_terminal(ssh: Ssh) -> None:
    process = ssh.start("echo S''TARTED; exec sleep 1000", options=("-tt",))
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"STARTED\r\n"
    process.stdin.write(b"\x03")
    process.stdin.flush()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_named_commands_need_no_shell(server: LiveServer, tmp_path: Path) -> None:
    account = server.add_account("namedonly")
    (server.home(account) / "f").write_bytes(b"content")
    ssh = Ssh(server, account, tmp_path)
    digest = hashlib.sha256(b"content").hexdigest()
    assert ssh.run("sum", "f") == (0, f"{digest}  /home/namedonly/f\n".encode(), b"")
    refused = b"homeport: this account may run these commands only: sum\n"
    assert ssh.run("id") == (255, b"", refused)
    assert ssh.run("sum", "f;id")[0] == 1  # a file that is not there
    assert server.usage(account)["used_bytes"] == len(b"content")  # counted with the command, though nobody charged it


def test_uploads_by_ftp_and_a_command_at_once(server: LiveServer, account: Account, ssh: Ssh) -> None:
    stop = threading.Event()
    stored: list[int] = []

    def upload() -> None:
        with FTP_TLS() as ftp:
            ftp.connect("127.0.0.1", server.port)
            ftp.login(account.name, account.password)
            ftp.prot_p()
            while not stop.is_set():
                with (server.certificate).open("rb") as file:
                    ftp.storbinary(f"STOR upload{len(stored)}", file)
                stored.append(1)

    uploading = threading.Thread(target=upload)
    uploading.start()
    try:
        script = "for i in $(seq 40); do head -c 300000 /dev/zero > made$i; sleep 0.02; done; ls | wc -l"
        status, _, errors = ssh.run(script)
    finally:
        stop.set()
        uploading.join(PATIENCE_S)
    assert (status, errors) == (0, b"")
    assert len(stored) > 3
    size = server.certificate.stat().st_size
    usage = server.usage(account)
    assert (usage["used_bytes"], usage["used_files"]) == (40 * 300_000 + len(stored) * size, 40 + len(stored))
    server.assert_no_drift(account)


def test_the_log_tells_who_ran_what(server: LiveServer, account: Account, ssh: Ssh) -> None:
    ssh.run("echo hello")
    log = server.directory / "logs" / "audit.jsonl"

    def lines() -> list[dict[str, object]]:
        read = map(json.loads, log.read_text(encoding="ascii").splitlines())
        return [line for line in read if line["event"] == "exec" and line["account"] == account.name]

    wait_until(lambda: bool(lines()), "the line is in the log")
    (line,) = lines()
    assert (line["peer"], line["protocol"], line["status"], line["bytes"]) == ("127.0.0.1", "ssh", 0, 6)
    assert str(line["argv"]).endswith("bash -c 'echo hello'")


def test_no_longer_allowed(server: LiveServer, account: Account, ssh: Ssh) -> None:
    process = ssh.start("echo ready; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    server.run("user", "set", account.name, "--no-exec")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (
        137,
        b"homeport: stopped: the account's rights were changed\n",
    )


def test_a_server_that_is_killed_takes_commands_along_and_counts_again(tmp_path: Path) -> None:
    require_sandbox(tmp_path)
    with running(tmp_path / "instance") as server:
        account = server.add_account("alice", "--exec", "--quota", "100M")
        ssh = Ssh(server, account, tmp_path)
        process = ssh.start("head -c 5000000 /dev/zero > f; echo ready; exec sleep 7654")
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        server.kill()
        process.communicate(timeout=PATIENCE_S)
        wait_until(lambda: not _running("sleep\x007654\x00"), "the command has died with the server")
        server.start()
        wait_until(lambda: server.usage(account)["used_bytes"] == 5_000_000, "the account has been counted again")
        server.assert_no_drift(account)


def _running(wanted: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes() == wanted.encode():
                return True
        except OSError:
            continue
    return False
