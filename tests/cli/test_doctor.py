from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Done, Run

from homeport.daemon import doctor, doctor_instance, doctor_machine
from homeport.daemon.doctor import Finding, Level

CHECKS = [*doctor_instance.CHECKS, *doctor_machine.CHECKS]


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
    def broken(_: doctor.Patient) -> list[doctor.Result]:
        raise ZeroDivisionError("oh")

    [finding] = doctor._run("x", broken, None)  # type: ignore[arg-type]
    assert finding == Finding("x", Level.FAIL, "could not be checked: oh", "see whether the other findings explain it")


def test_passive_ports_that_the_kernel_uses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "_outgoing_range", lambda: (40000, 50000))
    done = run("doctor", "--json", "--set", "ftp.passive_ports=39990-40005", "--set", "ftp.port=0")
    texts = [finding["text"] for finding in done.objects if finding["check"] == "passive ports"]
    assert texts[0] == "the kernel uses some of the passive ports for outgoing connections"
