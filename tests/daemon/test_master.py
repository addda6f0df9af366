from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest
from tests.daemon.conftest import Running, alive, eventually

from homeport.config.model import Settings
from homeport.daemon.control_client import wait_until_ready
from homeport.daemon.errors import ControlRefused, NotReady, NotRunning

Start = Callable[..., Running]


def who_answers(running: Running) -> int:
    """The pid of the worker that takes a connection."""
    port = running.status()["services"]["ftp"]["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return int(connection.makefile().readline())


def test_one_ready_line_and_a_status(start: Start) -> None:
    running = start()
    status = running.status()
    assert {name: status[name] for name in ("state", "pid", "workers", "sessions")} == {
        "state": "ready",
        "pid": running.process.pid,
        "workers": 1,
        "sessions": 2,
    }
    service = status["services"]["ftp"]
    assert service["host"] == "127.0.0.1"
    assert service["port"] > 0
    assert who_answers(running) == status["worker_pids"][0]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.stdout is not None
    assert running.process.stdout.read() == ""
    assert running.wait() == 0
    assert not running.instance.control_socket.exists()


def test_a_worker_searches_for_circles_among_new_objects_and_rarely(start: Start) -> None:
    port = start().status()["services"]["ftp"]["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile() as lines:
        assert lines.read().splitlines()[1] == "10000 True"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_workers_counted_in_goes_with_a_clean_stop_and_stays_after_another(start: Start, number: int) -> None:
    running = start()
    counted = [running.instance.run / name for name in ("sessions-0.tally", "sessions-1.tally", "sessions.lock")]
    for path in counted:
        path.touch()
    running.process.send_signal(number)
    running.process.wait(60)
    assert [path.exists() for path in counted] == [number == signal.SIGKILL] * 3
    assert (running.instance.run / "server.lock").exists()


def test_all_workers_share_the_port_that_was_found(start: Start) -> None:
    running = start("workers=3")
    pids = set(running.worker_pids())
    assert len(pids) == 3
    assert running.status()["sessions"] == 6
    assert {session["id"] for session in running.ask("who")["sessions"]} == {str(pid) for pid in pids}
    seen: set[int] = set()
    for _ in range(400):
        seen.add(who_answers(running))
        if seen == pids:
            break
    assert seen == pids
    assert running.ask("kick", target="bob") == {"kicked": 3}


def test_a_killed_worker_is_replaced_on_the_same_port(start: Start) -> None:
    running = start()
    port = running.status()["services"]["ftp"]["port"]
    [first] = running.worker_pids()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: running.worker_pids() not in ([], [first]), "another worker")
    assert running.status()["services"]["ftp"]["port"] == port
    assert who_answers(running) != first
    assert f"worker 0 (process {first}) ended with status -9; another one is started" in running.log()


def test_a_server_without_its_worker_is_not_ready_until_the_next_one_serves(start: Start) -> None:
    running = start()
    slow = running.instance.directory / "slow-start"
    slow.touch()
    [first] = running.worker_pids()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: running.status()["state"] == "starting", "the death noticed")
    assert (running.status()["workers"], running.worker_pids()) == (0, [])
    with pytest.raises(NotReady, match=r"the server was not ready within 0\.1 s"):
        wait_until_ready(running.instance, 0.1)
    slow.unlink()
    assert wait_until_ready(running.instance, 30)["state"] == "ready"
    assert who_answers(running) == running.worker_pids()[0] != first


def test_waiting_right_after_a_kill_is_waiting_for_somebody_who_answers(start: Start) -> None:
    running = start()
    for _ in range(3):
        [worker] = running.worker_pids()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda worker=worker: not alive(worker), "its end")  # type: ignore[misc]
        wait_until_ready(running.instance, 30)
        assert who_answers(running) != worker


def test_no_worker_survives_a_killed_master(start: Start) -> None:
    running = start("workers=2")
    pids = running.worker_pids()
    running.process.kill()
    running.process.wait()
    eventually(lambda: not any(map(alive, pids)), "both workers gone")
    again = start(f"ftp.port={20000 + os.getpid() % 10000}")  # lock and control socket of the dead are no obstacle
    assert again.status()["workers"] == 1


def test_a_second_server_is_refused(start: Start) -> None:
    first = start()
    second = start(ready=False)
    assert second.wait() == 1
    where = first.instance.directory
    text = f"a server (process {first.process.pid}) is running on {where} already; `homeport stop` ends it"
    assert text in second.log()
    assert first.status()["state"] == "ready"


def test_a_port_that_is_taken_is_refused(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = start(f"ftp.port={port}", ready=False)
        assert running.wait() == 1
    text = f"port {port} is taken, and ftp.port asks for it; stop what uses it, or --set ftp.port=0 for any free one"
    assert text in running.log()


@pytest.mark.parametrize(
    ("flag", "text"), [("fail-start", "the database has gone away"), ("fail-bind", "Address already in use")]
)
def test_a_worker_that_cannot_start_ends_the_start(start: Start, tmp_path: object, flag: str, text: str) -> None:
    running = start("drain_timeout_s=0", ready=False)
    (running.instance.directory / flag).touch()
    assert running.wait() == 1
    assert "the server cannot start: " in running.log()
    assert text in running.log()


def test_a_worker_that_cannot_be_replaced_yet_is_tried_again(start: Start) -> None:
    running = start()
    [first] = running.worker_pids()
    flag = running.instance.directory / "fail-start"
    flag.touch()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "a worker did not start: the database has gone away" in running.log(), "a failed start")
    assert running.status()["workers"] == 0
    flag.unlink()
    eventually(lambda: running.status()["workers"] == 1, "a worker again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_drain_at_once(start: Start, number: signal.Signals) -> None:
    running = start("drain_timeout_s=600")
    (running.instance.directory / "slow-drain").touch()
    pids = running.worker_pids()
    running.process.send_signal(number)
    eventually(lambda: running.status()["state"] == "stopping", "stopping")
    running.process.send_signal(number)
    assert running.wait() == 0
    assert not any(map(alive, pids))


def test_a_drain_ends_with_its_time(start: Start) -> None:
    running = start("drain_timeout_s=0.2")
    (running.instance.directory / "slow-drain").touch()
    assert running.ask("stop") == {"pid": running.process.pid}
    assert running.wait() == 0
    with pytest.raises(NotRunning):
        running.status()


def test_stop_now_cuts(start: Start) -> None:
    running = start("drain_timeout_s=600")
    (running.instance.directory / "slow-drain").touch()
    running.ask("stop", now=True)
    assert running.wait() == 0


def configure(running: Running, text: str) -> None:
    running.instance.config_file.write_text(text, encoding="utf-8")


def calls(running: Running) -> str:
    path = running.instance.directory / "calls"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_reload_says_what_was_applied_and_what_waits(start: Start) -> None:
    running = start()
    configure(running, 'workers = 2\n[ftp]\nport = 21\ngreeting = "Hello"\n')
    # --set ftp.port=0 wins over the file, as it did at the start
    assert running.ask("reload") == {"applied": ["ftp.greeting"], "needs_restart": ["workers"]}
    assert calls(running).splitlines()[-1] == "reload Hello"
    assert running.ask("reload") == {"applied": [], "needs_restart": ["workers"]}


def test_a_bad_configuration_is_refused_and_the_old_one_stays(start: Start) -> None:
    running = start()
    configure(running, 'workers = -1\n[ftp]\ngreeting = "Hello"\n')
    with pytest.raises(ControlRefused) as caught:
        running.ask("reload")
    assert caught.value.kind == "config"
    assert str(caught.value) == "the configuration has 1 problem:\n  workers: -1 is too small; the least is 0"
    assert "reload" not in calls(running)
    assert running.status()["state"] == "ready"


def test_a_worker_that_refuses_makes_the_reload_fail(start: Start) -> None:
    running = start()
    configure(running, '[ftp]\ngreeting = "refuse me"\n')
    with pytest.raises(ControlRefused, match="the certificate cannot be used"):
        running.ask("reload")
    configure(running, "")
    assert running.ask("reload") == {"applied": [], "needs_restart": []}


def test_hup_reloads(start: Start) -> None:
    running = start()
    configure(running, '[ftp]\ngreeting = "By signal"\n')
    running.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload By signal" in calls(running), "a reload")
    configure(running, "workers = -1\n")
    running.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the reload was refused, the old settings stay" in running.log(), "a refusal")
    assert running.status()["state"] == "ready"


def test_other_verbs(start: Start) -> None:
    running = start()
    assert running.ask("kick", target="bob") == {"kicked": 1}
    assert running.ask("account-changed", account_id=7) == {"kicked": 1}
    assert running.ask("overrides") == {
        "overrides": ["ftp.port=0", "time.port=0", "ntp.port=0", "chat.port=0", "hptp.port=0", "ssh.port=0"]
    }
    told = Settings.model_validate(running.ask("settings")["settings"])
    assert (told.ftp.port, told.ssh.port, told.hptp.enabled) == (0, 0, True)
    refusals = [
        ("kick", {"target": "eve"}, "not-found", "no session and no account with a session is called 'eve'"),
        ("kick", {}, "usage", "target must be text"),
        ("account-changed", {"account_id": "x"}, "usage", "account_id must be a whole number"),
        (
            "dance",
            {},
            "usage",
            "no such verb; there are: status, who, kick, reload, stop, account-changed, overrides, settings",
        ),
    ]
    for verb, arguments, kind, text in refusals:
        with pytest.raises(ControlRefused) as caught:
            running.ask(verb, **arguments)
        assert (caught.value.kind, str(caught.value)) == (kind, text)


def test_status_waits_for_a_server_that_starts(start: Start) -> None:
    running = start(ready=False)
    assert wait_until_ready(running.instance, 30.0)["state"] == "ready"
