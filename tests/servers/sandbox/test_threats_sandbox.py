"""Rows S2 to S5 of the list of threats, each tried from inside a real sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.loops import run_on, until
from tests.servers.sandbox.confined import Confined, Said, all_of, line_of

from homeport.servers.sandbox.environment import environment
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.terminals import Terminal

PYTHON = Path("/usr/bin/python3")
needs_python = pytest.mark.skipif(not PYTHON.exists(), reason="the system has no python3 to attack with")


def attack(confined: Confined, script: str, **order: Any) -> Said:
    return run_on("asyncio", confined.run("sh", "-c", script, **order))


# S2: the environment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LD_PRELOAD", "/home/alice/evil.so"),
        ("LD_LIBRARY_PATH", "/home/alice"),
        ("PATH", "/home/alice"),
        ("BASH_ENV", "/home/alice/evil"),
        ("ENV", "/home/alice/evil"),
        ("IFS", "/"),
        ("PYTHONPATH", "/home/alice"),
        ("HOME", "/"),
        ("SHELL", "/home/alice/sh"),
        ("LC_ALL", "%n%n%n"),
        ("LC_ALL", "../../home/alice/locale"),
        ("LANG", "C\n"),
        ("LANG", "x" * 65),
        ("LC_EVIL", "C"),
        ("TERM", "xterm"),
    ],
)
def test_s2_variables_that_would_change_what_runs_do_not_get_in(name: str, value: str) -> None:
    plain = environment("alice", "/home/alice", "/bin/sh", {}, None)
    assert environment("alice", "/home/alice", "/bin/sh", {name: value}, None) == plain


@pytest.mark.parametrize("terminal", ["\x1b[2J", "../../home/alice", "", "x" * 65, "a b", "xterm\n"])
def test_s2_a_terminal_type_that_is_none_is_dumb(terminal: str) -> None:
    assert environment("alice", "/home/alice", "/bin/sh", {}, terminal)["TERM"] == "dumb"


def test_s2_language_and_terminal_get_in() -> None:
    made = environment(
        "alice", "/home/alice", "/bin/sh", {"LANG": "zh_CN.GB18030", "LC_TIME": "de_DE@euro"}, "tmux-256color"
    )
    assert (made["LANG"], made["LC_TIME"], made["TERM"]) == ("zh_CN.GB18030", "de_DE@euro", "tmux-256color")


def test_s2_the_servers_own_environment_does_not_get_in(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPORT_PASSWORD", "very secret")
    said = attack(confined, "env; cat /proc/1/environ /proc/$$/environ | tr '\\0' '\\n'")
    assert "very secret" not in said.output
    assert {line.partition("=")[0] for line in said.output.splitlines()} <= {
        "PATH",
        "HOME",
        "TERM",
        "PWD",
        "_",
        "OLDPWD",
    }


# S3: leaving


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[Path]:
    """What lies beside the home: another home, the database, the control socket."""
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "secret").write_text("bob's", encoding="ascii")
    (tmp_path / "state.db").write_text("all accounts", encoding="ascii")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
        control.bind(str(tmp_path / "control.sock"))
        control.listen()
        yield tmp_path


def test_s3_files_of_the_machine_and_of_others_are_not_there(confined: Confined, neighbours: Path) -> None:
    targets = ["/etc/shadow", "/root", "/boot", "/sys", "/var/lib", "/srv", f"{neighbours}/bob/secret"]
    targets += [f"{neighbours}/state.db", f"{neighbours}/control.sock", "/proc/1/root/etc/shadow", "/home/bob"]
    script = "; ".join(f"test -e {target} && echo FOUND {target}" for target in targets)
    assert "FOUND" not in attack(confined, f"{script}; true").output
    climb = attack(confined, "cd ../../../../..; pwd; ls; ls /home; cat /etc/passwd")
    assert climb.output.startswith("/\n")
    assert set(climb.output.split("/:")[0].split()) >= {"home", "usr"}
    assert "root" not in climb.output  # neither the folder nor the user


def test_s3_links_lead_nowhere(confined: Confined, neighbours: Path) -> None:
    (confined.home / "out").symlink_to(neighbours / "bob" / "secret")
    (confined.home / "up").symlink_to("../../..")
    said = attack(confined, "cat out up/state.db; ls up/")
    assert "bob's" not in said.output
    assert "all accounts" not in said.output


@needs_python
@pytest.mark.parametrize("kind", ["host", "abstract"])
def test_s3_the_network_is_not_there(confined: Confined, kind: str) -> None:
    family = socket.AF_INET if kind == "host" else socket.AF_UNIX
    with contextlib.closing(socket.socket(family)) as service:
        service.bind(("127.0.0.1", 0) if kind == "host" else "\0homeport-test")
        service.listen()
        target = service.getsockname() if kind == "host" else "\0homeport-test"
        script = f"import socket; socket.socket({int(family)}).connect({target!r}); print('CONNECTED')"
        said = run_on("asyncio", confined.run("python3", "-c", script))
        assert "ConnectionRefusedError" in said.errors, said
        shown = run_on("asyncio", confined.run("python3", "-c", script, view={"network": True}))
        assert "CONNECTED" in shown.output, shown  # the attack would work


def test_s3_the_hypervisor_is_not_there(confined: Confined) -> None:
    """AF_VSOCK knows of no network namespace."""
    said = attack(confined, "python3 -c 'import socket; socket.socket(40, socket.SOCK_STREAM)'")
    assert "Address family not supported by protocol" in said.errors
    said = attack(confined, "python3 -c 'import socket; socket.socketpair(); socket.socket(); print(1)'")
    assert said.output == "1\n"


def test_s3_other_processes_are_not_there(confined: Confined) -> None:
    said = attack(confined, f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()} && echo REACHED; ps -e | wc -l")
    assert int(said.output.split()[0]) < 8
    assert "REACHED" not in said.output


def test_s3_another_sandbox_of_the_account_is_not_there(confined: Confined) -> None:
    async def main() -> None:
        other = await confined.start("sleep", "1000")
        said = await confined.run("sh", "-c", "ps -ef; cat /proc/*/cmdline | tr '\\0' ' '")
        assert "sleep" not in said.output
        assert (
            "yes"
            in (
                await confined.run("sh", "-c", "ps -e >&2; sleep 5 & ps -e | grep -q sleep && echo yes; kill $!")
            ).output
        )
        other.kill("enough")
        await other.wait()
        other.close()

    run_on("asyncio", main())


def test_s3_there_is_no_privilege_and_no_way_to_one(confined: Confined) -> None:
    status = "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; id -u"
    tries = (
        "unshare -U true", "unshare -m true", "mount -t tmpfs none /tmp", "umount /tmp", "chroot / true",
        "echo 1 > /proc/sys/kernel/panic", "echo b > /proc/sysrq-trigger", "ls /dev/mem", "ls /dev/kmsg",
        "mount | grep -v nosuid", "dmesg", "cat /proc/kmsg", "cat /proc/kpageflags", "cat /proc/slabinfo",
        "hostname evil", "nsenter -t 1 -m true", "setpriv --reuid 0 true",
    )  # fmt: skip
    said = attack(
        confined, "; ".join([status, *(f"({command}) </dev/null && echo DONE: {command!r}" for command in tries)])
    )
    lines = said.output.splitlines()
    assert lines[:4] == [f"Cap{kind}:\t{'0' * 16}" for kind in ("Prm", "Eff", "Bnd", "Amb")]
    assert lines[4:] == ["NoNewPrivs:\t1", "Seccomp:\t2", "1000"], said


def test_s3_setuid_programs_give_nothing(confined: Confined) -> None:
    said = attack(
        confined,
        "for p in su sudo mount passwd newgrp; do test -u $(command -v $p || echo x) && echo $p; done; su -c id",
    )
    assert said.status != 0
    assert "uid=0" not in said.output


@pytest.mark.parametrize("node", ["null", "zero", "urandom", "tty"])
def test_s3_devices_work_and_stay_as_they_are(confined: Confined, node: str) -> None:
    before = os.stat(f"/dev/{node}")
    said = attack(
        confined, f"chmod 000 /dev/{node}; chown 0 /dev/{node}; rm -f /dev/{node}; test -c /dev/{node} && echo there"
    )
    after = os.stat(f"/dev/{node}")
    assert (before.st_mode, before.st_uid, before.st_ino) == (after.st_mode, after.st_uid, after.st_ino)
    assert said.output == "there\n"
    assert attack(confined, "echo x > /dev/null && head -c 3 /dev/zero | wc -c").output == "3\n"


def test_s3_devices_cannot_be_made(confined: Confined) -> None:
    said = attack(confined, "mknod memory c 1 1; mknod disk b 8 0; ls | wc -l")
    assert said.output == "0\n"


def test_s3_what_is_shown_cannot_be_changed(confined: Confined) -> None:
    places = ("/", "/usr", "/usr/bin", "/etc", "/dev", "/proc", "/run", "/home", "/var")
    said = attack(confined, "; ".join(f"touch {place}/x && echo {place}" for place in places))
    assert said.output == ""
    assert attack(confined, "touch /tmp/x /dev/shm/x /var/tmp/y x && echo fine").output == "fine\n"


def test_s3_descriptors_are_three(confined: Confined) -> None:
    with open("/etc/passwd", encoding="ascii") as opened:
        os.set_inheritable(opened.fileno(), True)
        said = attack(confined, "ls /proc/$$/fd")
    assert said.output.split() == ["0", "1", "2"]


@needs_python
def test_s3_nobody_types_into_a_terminal(confined: Confined) -> None:
    script = "import fcntl; fcntl.ioctl(0, 0x5412, b'x')"
    said = run_on("asyncio", confined.run("python3", "-c", script, terminal=Terminal()))
    assert "PermissionError" in said.output
    upper = "import fcntl; fcntl.ioctl(0, 0x1_0000_5412 - 2**33, b'x')"  # the kernel looks at the lower half alone
    assert "Error" in run_on("asyncio", confined.run("python3", "-c", upper, terminal=Terminal())).output


@needs_python
def test_s3_the_servers_keys_in_the_kernel_are_out_of_reach(confined: Confined) -> None:
    script = "import ctypes; print(ctypes.CDLL(None, use_errno=True).syscall(%d, 0, -3, 0, 0, 0), ctypes.get_errno())"
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    assert run_on("asyncio", confined.run("python3", "-c", script % number)).output == "-1 38\n"


# S4: taking more than there is


def test_s4_a_fork_bomb_ends_at_its_limit(confined: Confined) -> None:
    said = attack(
        confined,
        "i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done 2>/dev/null; ps -e | wc -l",
        limits=Limits(processes=20),
    )
    assert "200" not in said.output
    assert run_on("asyncio", confined.run("true")).status == 0


def test_s4_a_bomb_that_never_stops_is_killed_whole(confined: Confined) -> None:
    async def main() -> None:
        command = await confined.start("bomb() { bomb | bomb & }; echo on; bomb; wait", limits=Limits(processes=50))
        await line_of(command.output, b"on\n")
        command.kill("a bomb")
        assert (await command.wait()).reason == "a bomb"
        command.close()

    run_on("asyncio", main())


@needs_python
def test_s4_memory_ends_at_its_limit(confined: Confined) -> None:
    script = "parts = [bytearray(10 << 20) for _ in range(100)]; print('HAD IT')"
    said = run_on("asyncio", confined.run("python3", "-c", script, limits=Limits(memory_bytes=200 << 20)))
    assert said.status != 0
    assert said.output == ""


@needs_python
def test_s4_memory_of_all_processes_together_where_groups_are_there(confined: Confined) -> None:
    if run_on("asyncio", confined.sandbox.prepare()).groups is None:
        pytest.skip("no control groups here: each process has its own limit")
    child = "import time; kept = bytearray(40 << 20); print('up', flush=True); time.sleep(20)"
    script = f"for i in 1 2 3 4 5 6 7 8; do python3 -c '{child}' & done; wait"
    said = attack(confined, script, limits=Limits(memory_bytes=120 << 20))
    assert said.output.count("up") < 8


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_s4_temporary_files_end_at_their_limit(confined: Confined, place: str) -> None:
    said = attack(confined, f"head -c 20000000 /dev/zero > {place}/big; wc -c < {place}/big")
    assert "No space left" in said.errors
    assert int(said.output) <= 8 << 20


def test_s4_a_file_ends_at_its_limit(confined: Confined) -> None:
    said = attack(confined, "head -c 20000000 /dev/zero > big; wc -c < big", file_bytes=3_000_000)
    assert said.output == "3000000\n"


def test_s4_processor_time_ends_at_its_limit(confined: Confined) -> None:
    said = attack(confined, "while :; do :; done", limits=Limits(cpu_s=1))
    assert said.status == 137


HIDERS = {
    "in the background": "sleep 4321 &",
    "in a session of its own": "setsid sleep 4321 &",
    "after two forks": "(setsid sh -c 'sleep 4321 &' &)",
    "deaf to signals": "(trap '' TERM HUP INT QUIT; nohup sh -c 'sleep 4321; sleep 4321' >/dev/null 2>&1 &)",
}


@pytest.mark.parametrize("hider", HIDERS.values(), ids=HIDERS)
@pytest.mark.parametrize("killed", [True, False])
def test_s4_nothing_survives_the_command(confined: Confined, hider: str, killed: bool) -> None:
    async def main() -> None:
        command = await confined.start(f"{hider} \n echo ready; {'sleep 1000' if killed else 'true'}")
        await line_of(command.output, b"ready\n")
        if killed:
            command.kill("the connection has ended")
        await all_of(command.output)
        await command.wait()
        command.close()
        assert not _sleepers()

    run_on("asyncio", main())


def _sleepers() -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x004321\x00":
                found.append(pid)
    return found


def test_s4_commands_die_with_the_server(confined: Confined, tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
from pathlib import Path
from tests.servers.sandbox.confined import Confined
async def main():
    confined = Confined(Path({str(tmp_path / "other")!r}))
    command = await confined.start("setsid sleep 4321 & sleep 4321")
    print("up", flush=True)
    await command.wait()
asyncio.run(main())
"""
    (tmp_path / "other").mkdir()

    async def main() -> None:
        server = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        assert server.stdout is not None
        assert await server.stdout.readline() == b"up\n"
        await until(lambda: len(_sleepers()) == 2)
        server.kill()
        await server.wait()
        await until(lambda: not _sleepers())  # the kernel kills them, in its own time

    run_on("asyncio", main())


# S5: what a command leaves in the home


@pytest.mark.parametrize(
    "plant",
    [
        "cp /usr/bin/id x; chmod u+s x",
        "cp /usr/bin/id x; chmod 6755 x",
        "cp /usr/bin/id x; chmod g+s x",
        "cp -p /usr/bin/su x",
        "install -m 4755 /usr/bin/id x",
        "perl -e 'use Fcntl; umask 0; sysopen(F, \"x\", O_CREAT|O_WRONLY, 04755) or exit 1'",
        "perl -e 'umask 0; syscall(85, \"x\", 04755)'",
    ],
)
def test_s5_no_file_gets_the_servers_rights(confined: Confined, plant: str) -> None:
    attack(confined, plant)
    for entry in confined.home.iterdir():
        assert not entry.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID), entry


def test_s5_archives_and_copies_still_work(confined: Confined) -> None:
    script = "mkdir d; echo a > d/f; chmod 750 d d/f; tar cf t.tar d; mkdir e; tar xpf t.tar -C e; cp -a d g"
    said = attack(confined, f"{script}; stat -c %a d/f e/d e/d/f g/f")
    assert (said.output, said.errors) == ("750\n" * 4, "")


def test_s5_files_belong_to_the_servers_user(confined: Confined) -> None:
    attack(confined, "touch f; mkdir d; chown 0 f; chgrp 0 d")
    for name in ("f", "d"):
        found = (confined.home / name).lstat()
        assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


def test_the_threads_of_the_sandbox_are_few(confined: Confined) -> None:
    async def main() -> None:
        await asyncio.gather(*(confined.run("true") for _ in range(12)))

    run_on("asyncio", main())
    assert sum(thread.name.startswith("homeport-exec") for thread in threading.enumerate()) <= 2
