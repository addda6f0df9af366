"""Databases for the tests of core: SQLite always, PostgreSQL where its server programs are installed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from homeport.core.state import Database, open_database

START_TIMEOUT_S = 30.0


class PostgresServer:
    """A server of the tests' own, on a Unix socket in its own folder; it ends with the process that started it."""

    def __init__(self, programs: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="homeport-pg-", dir="/tmp"))  # short: socket paths are limited
        self._programs = programs
        self._as_user = _as_postgres()
        self._names = itertools.count(1)
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-U", "app", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder), "fsync": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._log = (self._folder / "log").open("wb")
        command = [*self._as_user, "setpriv", "--pdeathsig", "INT", str(programs / "postgres"), "-D", data, *options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd="/")
        self._await_start()

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY = file_copy")
        return f"postgresql://app@/{name}?host={self._folder}"

    def drop(self, url: str) -> None:
        name = conninfo_to_dict(url)["dbname"]
        with self._connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # the fast way: does not wait for clients
        self._process.wait(START_TIMEOUT_S)
        self._log.close()
        shutil.rmtree(self._folder)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self._folder), user="app", dbname="postgres", autocommit=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=START_TIMEOUT_S)

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        self._process.kill()
        self._process.wait()
        raise AssertionError((self._folder / "log").read_text())


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []


def _programs() -> Path | None:
    """Where initdb and postgres are: Debian keeps them out of PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    programs = _programs()
    if programs is None or shutil.which("setpriv") is None:
        pytest.skip("no PostgreSQL server programs (initdb, postgres) or no setpriv on this machine")
    server = PostgresServer(programs)
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, not migrated yet: for tests that open it in several processes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def open_again(database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database once more, as another process would."""
    opened: list[Database] = []

    def open_() -> Database:
        opened.append(open_database(database_url))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def database(open_again: Callable[[], Database]) -> Database:
    """An open database at the newest schema, of each kind in turn."""
    return open_again()
