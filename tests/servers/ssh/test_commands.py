"""Remote commands through SSH: who may, what is streamed, what is counted, what the audit log says."""

from __future__ import annotations

import gc
import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.servers.loops import until
from tests.servers.running import House, built_house
from tests.servers.sandbox.confined import require_sandbox
from tests.servers.ssh.running_ssh import SETTINGS, RunningSsh, serving_ssh

from homeport.config.command_parameters import parse_type
from homeport.core.errors import NotARegularFile, OutsideHome
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.rights import Rights
from homeport.core.sessions import Sessions
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.named import NamedCommand
from homeport.servers.sandbox.settings import CommandSettings
from homeport.servers.sandbox.view import shell
from homeport.servers.ssh.commands import FAILED

QUOTA = 20_000_000
NAMED = {
    "add": NamedCommand(
        ("/usr/bin/expr", "{first}", "+", "{second}"),
        (("first", parse_type("int 1-12")), ("second", parse_type("int"))),
        frozenset({"bob"}),
    ),
    "show": NamedCommand(("/usr/bin/cat", "{file}"), (("file", parse_type("path")),), frozenset({"*"})),
    "free": NamedCommand(("/usr/bin/printf", "%s|", "{text}"), (("text", parse_type("text .*")),)),
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create("alice", "secret", allow_exec=True, quota_bytes=QUOTA, max_files=1000)
        house.accounts.create("bob", "secret", quota_bytes=QUOTA)
        yield house


@pytest.fixture
def limits() -> Limits:
    return Limits(tmp_bytes=8 << 20, disk_reserve_bytes=1 << 20)


@pytest.fixture
def server(tmp_path: Path, house: House, limits: Limits) -> Iterator[RunningSsh]:
    require_sandbox(tmp_path)
    commands = CommandSettings(scratch=tmp_path / "run" / "exec", private=(tmp_path,), named=NAMED, limits=limits)
    with serving_ssh(house, replace(SETTINGS, commands=commands)) as server:
        yield server


@dataclass(frozen=True)
class Done:
    """What a client was told of a command."""

    exit_status: int | None
    stdout: bytes
    stderr: bytes


def run(server: RunningSsh, command: str | bytes | None, name: str = "alice", **options: Any) -> Done:
    async def main() -> Done:
        async with await server.connect(name) as connection:
            done = await connection.run(command, encoding=None, **options)
            return Done(done.exit_status, done.stdout, done.stderr)

    return server.clients.wait(main())


def log_of(house: House) -> list[dict[str, Any]]:
    house.services.audit.flush()
    lines = (house.root / "audit.jsonl").read_text(encoding="ascii").splitlines()
    return [line for line in map(json.loads, lines) if line["event"].startswith("exec") or line["event"] == "refused"]


def prove_exact(house: House, name: str = "alice") -> None:
    """What the ledger says is what is on the disk."""
    account = house.accounts.get(name)
    usage = house.services.ledger.usage(account.id)
    files = list(account.home.rglob("*"))
    sizes = sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())
    assert (usage.used_bytes, usage.used_files) == (sizes, len(files))


# What is run


def test_a_command_and_its_line_in_the_log(server: RunningSsh, house: House) -> None:
    done = run(server, "echo out; echo err >&2; exit 42", input=b"")
    assert (done.stdout, done.stderr, done.exit_status) == (b"out\n", b"err\n", 42)
    begun, ended = log_of(house)
    assert (begun["event"], begun["account"], begun["peer"]) == ("exec begin", "alice", "127.0.0.1")
    assert ended["argv"] == begun["argv"] == "/usr/bin/bash -c 'echo out; echo err >&2; exit 42'"
    assert (ended["status"], ended["bytes"], ended["reason"]) == (42, 8, None)
    assert 0 <= ended["seconds"] < 20


def test_input_is_streamed_and_ends(server: RunningSsh) -> None:
    given = bytes(range(256)) * 20_000
    done = run(server, "cat", input=given)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(given).digest()
    assert run(server, "wc -c", stdin=asyncssh.DEVNULL).stdout.strip() == b"0"


def test_output_is_not_decoded(server: RunningSsh) -> None:
    assert run(server, r"printf '\xd6\xd0\xce\xc4\x00\xff'").stdout == b"\xd6\xd0\xce\xc4\x00\xff"


def test_a_command_s_bytes_need_not_be_utf_8(server: RunningSsh, house: House) -> None:
    (house.home("alice") / "\udcd6\udcd0").write_bytes(b"kept")
    assert run(server, b"cat '\xd6\xd0'").stdout == b"kept"
    assert log_of(house)[-1]["argv"] == shlex.join([shell(), "-c", "cat '\udcd6\udcd0'"])
    refused = run(server, b"cat '\xd6\xd0'", "bob")
    assert (refused.exit_status, refused.stdout) == (FAILED, b"")


def test_a_status_of_a_signal(server: RunningSsh) -> None:
    assert run(server, "kill -TERM $$").exit_status == 143


def test_signals_reach_the_command_though_its_input_has_ended(server: RunningSsh) -> None:
    async def main() -> None:
        async with await server.connect() as connection:
            script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done"
            process = await connection.create_process(script, stdin=asyncssh.DEVNULL)
            assert await process.stdout.readline() == "ready\n"
            process.send_signal("USR1")
            done = await process.wait()
            assert (done.exit_status, done.stdout) == (3, "got\n")

    server.clients.wait(main())


def test_a_shell_in_a_terminal(server: RunningSsh) -> None:
    async def main() -> None:
        async with await server.connect() as connection:
            process = await connection.create_process(term_type="xterm", term_size=(100, 30))
            await process.stdout.readuntil("$ ")
            process.stdin.write("cd /tmp\r")
            process.stdin.write("stty size; echo $TERM; pwd; echo E''ND\r")
            came = await process.stdout.readuntil("END\r\n")
            assert "30 100\r\nxterm\r\n/tmp\r\n" in came
            process.change_terminal_size(120, 40)
            process.stdin.write("sh -c 'echo S''TARTED; exec sleep 1000'\r")
            await process.stdout.readuntil("STARTED\r\n")
            process.stdin.write("\x03")
            process.stdin.write("stty size; exit 5\r")
            assert "40 120" in await process.stdout.read()
            assert (await process.wait()).exit_status == 5

    server.clients.wait(main())


def test_a_shell_without_a_terminal_reads_commands(server: RunningSsh) -> None:
    done = run(server, None, input=b"cd /tmp\npwd\nexit 4\n")
    assert (done.stdout, done.exit_status) == (b"/tmp\n", 4)


def test_s2_the_clients_variables_do_not_change_what_runs(server: RunningSsh) -> None:
    sent = {"LD_PRELOAD": "/home/alice/evil.so", "PATH": "/evil", "BASH_ENV": "/evil", "LANG": "de_DE.UTF-8"}
    lines = run(server, "env", env=sent).stdout.decode().splitlines()
    assert "LANG=de_DE.UTF-8" in lines
    assert not [line for line in lines if "evil" in line]


# Who may run what


@pytest.mark.parametrize(
    ("name", "command", "status", "said"),
    [
        ("alice", "add 3 4", 0, b"7\n"),
        ("bob", "add 3 4", 0, b"7\n"),
        ("bob", "add '3' \"-4\"", 0, b"-1\n"),
        ("alice", "free 'a; id > $(x)`y`'", 0, b"a; id > $(x)`y`|"),
        ("bob", "show notes", 0, b"bob's notes"),
        ("bob", "show /notes", 0, b"bob's notes"),
        ("bob", "show ../../../notes", 0, b"bob's notes"),
    ],
)
def test_named_commands(server: RunningSsh, house: House, name: str, command: str, status: int, said: bytes) -> None:
    (house.home("bob") / "notes").write_bytes(b"bob's notes")
    done = run(server, command, name)
    assert (done.exit_status, done.stdout) == (status, said), done.stderr


@pytest.mark.parametrize(
    ("name", "command", "said"),
    [
        ("bob", "id", b"homeport: this account may run these commands only: add, show\n"),
        ("bob", None, b"homeport: this account may run these commands only: add, show\n"),
        ("bob", "free x", b"homeport: this account may run these commands only: add, show\n"),
        ("bob", "add 3 4; id", b"homeport: usage: add FIRST SECOND\n"),
        ("bob", "add 3 '4; id'", b"homeport: add: second: '4; id' is no whole number\n"),
        ("bob", "add 13 4", b"homeport: add: first: 13 is not from 1 to 12\n"),
        ("bob", "add $(id) 4", b"homeport: add: first: '$(id)' is no whole number\n"),
        ("bob", "add 3 '4", b"homeport: the command cannot be read: no closing quotation\n"),
        ("bob", "show 'a\nb'", b"homeport: show: file: it is too long, or has a line break\n"),
        ("alice", "free -n", b"homeport: free: text: '-n' begins with a dash\n"),
    ],
)
def test_what_may_not_be_run(server: RunningSsh, house: House, name: str, command: str | None, said: bytes) -> None:
    done = run(server, command, name)
    assert (done.exit_status, done.stdout, done.stderr) == (FAILED, b"", said)
    (line,) = log_of(house)
    assert (line["event"], line["deed"], line["path"]) == ("refused", "exec", command or "")
    assert line["reason"] == said.decode().removeprefix("homeport: ").strip()


def test_without_bubblewrap_it_is_said_what_to_install(tmp_path: Path, house: House) -> None:
    commands = CommandSettings(scratch=tmp_path / "run" / "exec", path=str(tmp_path))
    with serving_ssh(house, replace(SETTINGS, commands=commands)) as server:
        done = run(server, "true")
    assert done.exit_status == FAILED
    assert done.stderr == (
        b"homeport: remote commands need bubblewrap, which is not installed; "
        b"install bubblewrap 0.8 or newer (Debian, Ubuntu, Fedora: package bubblewrap)\n"
    )
    assert log_of(house)[0]["event"] == "refused"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"enabled": False}, b"homeport: remote commands are switched off on this server\n"),
        ({"private": (Path("/"),)}, b""),  # not in the home: nothing to hide
    ],
)
def test_switches(tmp_path: Path, house: House, change: dict[str, Any], said: bytes) -> None:
    require_sandbox(tmp_path)
    commands = replace(CommandSettings(scratch=tmp_path / "run" / "exec"), **change)
    with serving_ssh(house, replace(SETTINGS, commands=commands)) as server:
        assert run(server, "true").stderr == said


def test_a_home_with_the_servers_own_files_runs_nothing(tmp_path: Path, house: House) -> None:
    require_sandbox(tmp_path)
    house.accounts.create("carl", "secret", allow_exec=True, home=tmp_path)
    commands = CommandSettings(scratch=tmp_path / "run" / "exec", private=(tmp_path / "run",))
    with serving_ssh(house, replace(SETTINGS, commands=commands)) as server:
        done = run(server, "true", "carl")
    assert done.stderr == b"homeport: this account's home holds the server's own files, so it cannot run commands\n"


@pytest.mark.parametrize(
    ("rights", "status", "output", "errors"),
    [
        ("all", 0, b"there\n", b""),
        ("read-only", 1, b"", b"touch: cannot touch 'f': Read-only file system\n"),
        ("list,read,write,mkdir", 1, b"", b"touch: cannot touch 'f': Read-only file system\n"),
        ("upload-only", FAILED, b"", b"homeport: this account may not read its home, so it cannot run commands\n"),
    ],
)
def test_rights_hold_for_commands(
    server: RunningSsh, house: House, rights: str, status: int, output: bytes, errors: bytes
) -> None:
    house.accounts.update("alice", rights=Rights.parse(rights))
    done = run(server, "touch f && echo there")
    assert (done.exit_status, done.stdout, done.stderr) == (status, output, errors)


# What is counted and bounded


@pytest.mark.parametrize(
    "command",
    [
        "head -c 1000000 /dev/zero > f; mkdir d; ln -s /etc l; ln f d/hard",
        "rm -r old*",
        "mv old older; truncate -s 5M older",
        "true",
    ],
)
def test_what_a_command_wrote_counts_to_the_byte(server: RunningSsh, house: House, command: str) -> None:
    run(server, "head -c 100000 /dev/zero > old; mkdir old.d; touch old.d/x")
    prove_exact(house)
    run(server, command)
    prove_exact(house)


def test_s4_a_disk_filler_is_stopped_at_the_quota(server: RunningSsh, house: House) -> None:
    done = run(server, "i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; sleep 0.05; done")
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: the quota of 19.1 MiB is used up\n")
    prove_exact(house)
    assert log_of(house)[-1]["reason"] == "the quota of 19.1 MiB is used up"
    freed = run(server, "rm f*; ls | wc -l")
    assert (freed.exit_status, freed.stdout) == (0, b"0\n")
    prove_exact(house)


def test_s4_a_filler_with_empty_files_is_stopped_at_the_quota(server: RunningSsh, house: House) -> None:
    done = run(server, "i=0; while :; do i=$((i+1)); : > f$i; done")
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: the quota of 1000 files is used up\n")
    prove_exact(house)


def test_s4_a_filler_that_hides_its_files_is_stopped_at_the_quota(server: RunningSsh, house: House) -> None:
    hide = 'eval "exec $i>f$i"; rm f$i; head -c 5000000 /dev/zero >&$i; sleep 0.1'
    done = run(server, f"for i in 3 4 5 6 7 8 9; do {hide}; done; sleep 20")
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: the quota of 19.1 MiB is used up\n")
    prove_exact(house)


def test_s4_a_reader_that_goes_away_ends_endless_output(server: RunningSsh, house: House) -> None:
    async def main() -> None:
        async with await server.connect() as connection:
            process = await connection.create_process("yes")
            await process.stdout.readline()
            process.close()
            await until(lambda: log_of(house)[-1]["event"] == "exec")

    server.clients.wait(main())
    assert log_of(house)[-1]["reason"] == "the client went away"


def test_no_file_gets_longer_than_the_quota(server: RunningSsh, house: House) -> None:
    done = run(server, "head -c 50000000 /dev/zero > f")
    assert done.exit_status != 0
    assert (house.home() / "f").stat().st_size <= QUOTA
    prove_exact(house)


def test_uploads_go_on_beside_a_command(server: RunningSsh, house: House) -> None:
    script = "for i in $(seq 30); do head -c 200000 /dev/zero > c$i; sleep 0.02; done"

    async def main() -> None:
        async with await server.connect() as connection, connection.start_sftp_client() as sftp:
            process = await connection.create_process(script)
            for number in range(20):
                async with sftp.open(f"u{number}", "wb") as file:
                    await file.write(bytes(100_000))
            assert (await process.wait()).exit_status == 0

    server.clients.wait(main())
    prove_exact(house)
    assert house.services.ledger.usage(house.accounts.get("alice").id).used_bytes == 8_000_000


@pytest.mark.parametrize("limits", [Limits(wall_s=0.5)])
def test_a_command_that_takes_too_long_is_stopped(server: RunningSsh) -> None:
    done = run(server, "trap '' TERM; sleep 1000")
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: it took 0.5 s\n")


@pytest.mark.parametrize("limits", [Limits(output_bytes=1_000_000)])
def test_s4_endless_output_is_stopped(server: RunningSsh, house: House) -> None:
    done = run(server, "yes")
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: it has said more than 976.6 KiB\n")
    assert len(done.stdout) <= 1_000_000
    assert log_of(house)[-1]["bytes"] >= 1_000_000


@pytest.mark.parametrize("limits", [Limits(cpu_s=1.0)])
def test_processor_time_of_all_processes_counts(server: RunningSsh) -> None:
    done = run(server, "while :; do seq 20000 > /dev/null; done")  # many short ones
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: it has used its 1 s of processor time\n")


@pytest.mark.parametrize("limits", [Limits(memory_bytes=100 << 20)])
def test_s4_who_uses_up_his_memory_is_told(server: RunningSsh, house: House) -> None:
    done = run(server, "exec python3 -c 'parts = [bytearray(10 << 20) for _ in range(100)]'")
    if done.exit_status == 1:
        assert b"MemoryError" in done.stderr  # no control groups here
        return
    assert (done.exit_status, done.stderr) == (137, b"homeport: stopped: the memory of 100.0 MiB was used up\n")
    assert log_of(house)[-1]["reason"] == "the memory of 100.0 MiB was used up"


@pytest.mark.parametrize("limits", [Limits(commands_per_account=1)])
def test_one_at_a_time(server: RunningSsh) -> None:
    async def main() -> None:
        async with await server.connect() as connection:
            first = await connection.create_process("echo ready; cat")
            await first.stdout.readline()
            second = await connection.run("true")
            assert second.stderr == "homeport: this account runs 1 commands already; end one and try again\n"
            first.stdin.write_eof()
            await first.wait()
            assert (await connection.run("true")).exit_status == 0

    server.clients.wait(main())


# How it ends


@pytest.mark.parametrize("how", ["connection", "channel", "kick", "no longer allowed"])
def test_s4_nothing_survives_the_connection(server: RunningSsh, house: House, how: str) -> None:
    async def main() -> None:
        connection = await server.connect()
        process = await connection.create_process("(setsid sleep 8765 &); trap '' TERM HUP; echo ready; sleep 8765")
        assert await process.stdout.readline() == "ready\n"
        await until(lambda: len(_sleepers()) == 2)
        if how == "connection":
            connection.abort()
        elif how == "channel":
            process.close()
        elif how == "kick":
            server.sessions.kick("alice", "enough")
        else:
            changed = house.accounts.update("alice", allow_exec=False)
            for home in _homes():
                home.refresh(changed)
        await until(lambda: not _sleepers())
        await until(lambda: log_of(house)[-1]["event"] == "exec")
        connection.close()
        await connection.wait_closed()

    server.clients.wait(main())
    reasons = {
        "channel": "the client went away",
        "no longer allowed": "the account's rights were changed",
    }
    assert log_of(house)[-1]["reason"] in (reasons.get(how), "the connection has ended", "the client went away")
    prove_exact(house)


def _overwrite(home: Home, path: VirtualPath) -> None:
    with home.begin_upload(path) as upload:
        upload.write(b"overwritten")
        upload.commit()


def _sleepers() -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes() == b"sleep\x008765\x00":
                found.append(process)
        except OSError:
            continue
    return found


def _homes() -> list[Home]:
    """The homes that are open, which the daemon keeps a list of."""
    return [found for found in gc.get_objects() if isinstance(found, Home)]


# S5: what a command leaves, and what the other ways to the home make of it


@pytest.mark.parametrize(
    ("plant", "error"),
    [
        ("ln -s /etc/passwd x", OutsideHome),
        ("ln -s ../../state.db x", OutsideHome),
        ("ln -s /proc/self/root/etc/passwd x", OutsideHome),
        ("mkfifo x", NotARegularFile),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"x\")'", NotARegularFile),
    ],
)
def test_s5_what_a_command_planted_leads_nowhere(
    server: RunningSsh, house: House, plant: str, error: type[Exception]
) -> None:
    assert run(server, plant).exit_status == 0
    sessions = Sessions()
    with server.server._front.core.open_home(house.accounts.get("alice"), sessions.open("test", "::1")) as home:
        path = VirtualPath(("x",))
        with pytest.raises(error):
            home.begin_download(path)
        with pytest.raises(error):
            _overwrite(home, path)
        home.remove_file(path)
    prove_exact(house)
