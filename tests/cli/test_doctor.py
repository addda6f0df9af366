from __future__ import annotations

import errno
import os
import resource
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.conftest import Done, Run

from homeport.daemon import doctor, doctor_commands, doctor_instance, doctor_machine
from homeport.daemon.finding import Finding, Level, Patient, Result

CHECKS = [*doctor_instance.CHECKS, *doctor_machine.CHECKS, *doctor_commands.CHECKS]


def by_check(done: Done) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in done.objects}


def test_nothing_there_yet(run: Run, directory: Path) -> None:
    done = run("doctor", "--json", "--set", "ftp.port=0")
    found = by_check(done)
    assert list(found) == CHECKS
    assert not directory.exists()
    assert found["instance folder"]["text"] == f"{directory} does not exist yet"
    assert found["server"]["level"] == "warn"
    assert all(bool(finding["fix"]) == (finding["level"] != "pass") for finding in found.values())
    assert done.code == max(("pass", "warn", "fail").index(finding["level"]) for finding in found.values())


def test_a_broken_configuration_is_a_finding_among_others(run: Run, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "homeport.toml").write_text("workers = 0\nport = 1\n= garbage", encoding="utf-8")
    done = run("doctor", "--json")
    assert done.code == 2
    assert by_check(done)["config"]["level"] == "fail"
    assert set(by_check(done)) == set(CHECKS)


def test_for_people(run: Run) -> None:
    lines = run("doctor").out.splitlines()
    place = lines.index("warn  server: no server is running")
    assert lines[place + 1] == "      -> `homeport serve` starts one"


def test_open_folders_missing_homes_and_taken_ports(run: Run, directory: Path) -> None:
    run("user", "add", "bob", "--generate")
    (directory / "homes" / "bob").rmdir()
    directory.chmod(0o755)
    (directory / "state.db").chmod(0o666)
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("doctor", "--json", "--set", f"ftp.port={port}", "--set", "ftp.passive_ports=any")
    texts = [(finding["level"], finding["text"]) for finding in done.objects]
    assert ("fail", f"the home of bob cannot be used: {directory}/homes/bob") in texts
    assert ("warn", f"others may read {directory} (mode 0755)") in texts
    assert ("fail", f"others may write {directory}/state.db (mode 0666)") in texts
    assert ("fail", f"port {port} (ftp.port) is taken") in texts
    assert any(text.startswith("passive ports are any") for _, text in texts)


def test_a_home_on_another_file_system(run: Run, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    run("user", "add", "bob", "--generate")
    monkeypatch.setattr("homeport.config.checks.nearest_device", lambda path: 1 if path.name == "stage" else 2)
    found = by_check(run("doctor", "--json", "--set", "ftp.port=0"))["accounts"]
    assert (found["level"], found["text"]) == (
        "fail",
        f"the home of bob and the unfinished uploads are on different file systems: {directory}/homes/bob",
    )


@pytest.mark.parametrize(
    ("days", "level"), [(-1, Level.FAIL), (0, Level.WARN), (29, Level.WARN), (30, Level.PASS), (3000, Level.PASS)]
)
def test_certificates_that_expire(days: int, level: Level) -> None:
    assert doctor_instance._expiry(Path("/tls/cert.pem"), days)[0] is level


def test_settings_that_are_risky(run: Run) -> None:
    found = by_check(run("doctor", "--json", "--set", "ftp.tls=off", "--set", "fsync=never"))
    assert found["certificate"]["text"] == "TLS is off: passwords and files can be read on the way"
    assert found["fsync"]["fix"] == 'set fsync = "group"'


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken(_: Patient) -> list[Result]:
        raise ZeroDivisionError("oh")

    [finding] = doctor._run("x", broken, None)  # type: ignore[arg-type]
    assert finding == Finding("x", Level.FAIL, "could not be checked: oh", "see whether the other findings explain it")


def test_passive_ports_that_the_kernel_uses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "_outgoing_range", lambda: (40000, 50000))
    done = run("doctor", "--json", "--set", "ftp.passive_ports=39990-40005", "--set", "ftp.port=0")
    texts = [finding["text"] for finding in done.objects if finding["check"] == "passive ports"]
    assert texts[0] == "the kernel uses some of the passive ports for outgoing connections"


DISKS = [
    (10 << 30, 10**6, [("pass", "10.0 GiB of disk are free")]),
    (500 << 20, 10**6, [("warn", "only 500.0 MiB of disk are free")]),
    (5 << 20, 10**6, [("fail", "the disk is full: 5.0 MiB free")]),
    (
        10 << 30,
        9,
        [("pass", "10.0 GiB of disk are free"), ("warn", "only 9 more files fit on the file system (inodes)")],
    ),
]


@pytest.mark.parametrize(("free", "inodes", "findings"), DISKS)
def test_disks(
    run: Run, monkeypatch: pytest.MonkeyPatch, free: int, inodes: int, findings: list[tuple[str, str]]
) -> None:
    found = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_files=10**6, f_favail=inodes)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    done = run("doctor", "--json")
    assert [(row["level"], row["text"]) for row in done.objects if row["check"] == "disk"] == findings


def test_a_file_system_without_attributes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse)
    [found] = [row for row in run("doctor", "--json").objects if row["check"] == "extended attributes"]
    assert found["text"] == "no extended attributes here: digests are kept in the database"


def test_few_descriptors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    [found] = [row for row in run("doctor", "--json").objects if row["check"] == "open files"]
    assert found["text"] == "a process may have 256 files open; full load needs 4096"


def test_services_that_do_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    services = {
        "ftp": {"host": "0.0.0.0", "port": port, "transport": "tcp"},
        "local": {"host": None, "port": None, "transport": "tcp"},
    }
    [(level, text, _)] = doctor_machine._reachable(services)
    assert level is Level.FAIL
    assert text.startswith(f"ftp does not answer on 127.0.0.1 port {port}: ")


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::1"])
def test_services_that_hold_their_udp_port_or_do_not(host: str, shared: bool) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
        held.bind((host, 0))
        port = held.getsockname()[1]
        services: dict[str, dict[str, object]] = {"time": {"host": host, "port": port, "transport": "udp"}}
        [there] = doctor_machine._reachable(services)
    [gone] = doctor_machine._reachable(services)
    assert there == (Level.PASS, f"time holds UDP port {port}; a firewall must let it in", "")
    assert gone == (Level.FAIL, f"time does not hold UDP port {port}", "see the server's log, and restart it")
