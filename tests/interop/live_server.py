"""A real Homeport server in a process of its own, driven as its administrator drives it: by the command line alone.

The one rule: nothing here reaches into Homeport's modules, so what these tests see is what users see.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
HOMEPORT = Path(sys.executable).with_name("homeport")
# Quick to start and to stop, no fixed ports, and no waiting after the failures that tests provoke.
SETTINGS = {
    "ftp.port": "0",
    "ftp.listen": '["127.0.0.1", "::1"]',
    "ftp.passive_ports": "any",
    "time.port": "0",
    "ntp.port": "0",
    "chat.port": "0",
    "hptp.port": "0",
    "ssh.port": "0",
    "drain_timeout_s": "2",
    "login.failures_before_ban": "1000",
    "login.first_delay_s": "0.01",
    "limits.sessions_per_account": "200",
    "limits.sessions_per_address": "1000",
}


def require(command: str) -> str:
    """The path of a client; without it the test is skipped, or fails where HOMEPORT_REQUIRE_CLIENTS is set."""
    path = shutil.which(command)
    if path is None:
        text = f"{command} is not installed"
        if os.environ.get("HOMEPORT_REQUIRE_CLIENTS"):
            pytest.fail(text + ", and HOMEPORT_REQUIRE_CLIENTS demands it")
        pytest.skip(text)
    return path


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Returns as soon as `condition` holds; fails with `what` when it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience_s:.0f} s in vain until {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class Account:
    name: str
    password: str


@dataclass
class LiveServer:
    """One instance folder and the server that runs on it (or not)."""

    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    implicit_port: int = 0
    output: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    @property
    def certificate(self) -> Path:
        return self.directory / "tls" / "cert.pem"

    def home(self, account: Account) -> Path:
        return self.directory / "homes" / account.name

    def start(self) -> None:
        """Starts the server and returns when it has said that it is ready."""
        options = [f"--set={key}={value}" for key, value in {**SETTINGS, **self.settings}.items()]
        self.output.clear()
        process = subprocess.Popen(
            [HOMEPORT, "serve", "--dir", self.directory, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
            start_new_session=True,  # so that kill -9 can take the master and its workers at once
        )
        self._process = process
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(process, ready), daemon=True).start()
        if not ready.wait(PATIENCE_S) or not any(line.startswith("ready") for line in self.output):
            self.kill()
            pytest.fail("the server did not get ready:\n" + "".join(self.output))
        if self.port:
            return
        services = self.json("status")[0]["services"]
        self.port = services["ftp"]["port"]
        self.settings = self.settings | {"ftp.port": str(self.port)}  # a second start takes the same one
        self.implicit_port = services.get("ftps", {}).get("port", 0)

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.output.append(line)
                if line.startswith("ready"):
                    ready.set()
        ready.set()

    def stop(self) -> int:
        """Stops the server as its administrator does; its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail("the server did not stop at SIGTERM:\n" + "".join(self.output))
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9 of the master and all its workers, with no chance to tidy up."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self._process = None

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Runs `homeport ARGUMENTS` on this instance and gives its standard output; the test fails if it does."""
        done = subprocess.run(
            [HOMEPORT, *arguments, "--dir", self.directory],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=_environment(),
        )
        if done.returncode:
            pytest.fail(f"homeport {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """What `homeport ARGUMENTS --json` prints, one object a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def add_account(self, name: str, *options: str) -> Account:
        account = Account(name, f"{name}'s secret word")
        self.run("user", "add", name, "--password-stdin", *options, stdin=account.password + "\n")
        return account

    def usage(self, account: Account) -> dict[str, Any]:
        return self.json("quota", "show", account.name)[0]

    def assert_no_drift(self, account: Account) -> None:
        """The ledger says what a recount of the account's files says."""
        (row,) = self.json("quota", "check", account.name)
        assert (row["drift_bytes"], row["drift_files"]) == (0, 0), row


@contextlib.contextmanager
def running(directory: Path, **settings: str) -> Iterator[LiveServer]:
    """A started server whose `settings` have `__` for the dot; it is stopped, or killed, at the end."""
    server = LiveServer(directory, {key.replace("__", "."): value for key, value in settings.items()})
    server.add_account("first")  # so that the first run has no account to invent
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.kill()


def call(command: Sequence[str | Path], *, stdin: bytes = b"", environment: dict[str, str] | None = None) -> str:
    """Runs a client to its end and gives what it printed; the test fails if the client does."""
    code, output = attempt(command, stdin=stdin, environment=environment)
    if code:
        pytest.fail(f"{' '.join(map(str, command))}\nended with {code}:\n{output}")
    return output


def attempt(
    command: Sequence[str | Path], *, stdin: bytes = b"", environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Runs a client to its end: exit code, and what it printed on both streams."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S * 2,
        check=False,
        env=_environment() | (environment or {}),
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """Ours, without what changes Python's or Homeport's behaviour; text is UTF-8 whatever the machine's locale."""
    dropped = ("PYTHON", "HOMEPORT_", "COV_", "COVERAGE_", "PYTEST_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {"LC_ALL": "C.UTF-8"}
