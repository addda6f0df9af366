"""The database's two verbs on both kinds, alone, among threads, and among processes."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import exc, insert, select, text, update

from homeport.core import sqlite_file, state, state_faults
from homeport.core.errors import StateUnavailable
from homeport.core.schema import digests, leases, usage
from homeport.core.state import Database, open_database, sqlite_url

NOBODY = 65534


def refused(reason: str) -> str:
    return f"the state database is not available: {reason}"


def add(database: Database, inode: int, size: int = 0) -> None:
    with database.write() as connection:
        connection.execute(insert(digests).values(device=1, inode=inode, size=size, mtime_ns=0, sha256=""))


def sizes(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(digests.c.size).order_by(digests.c.inode)))


# Both kinds


def test_a_write_is_seen_by_the_next_read_and_by_others(
    database: Database, open_again: Callable[[], Database], database_url: str
) -> None:
    add(database, 1, size=7)
    assert sizes(open_again()) == sizes(database) == [7]
    assert database.dialect == database_url.partition(":")[0]


def test_a_write_that_raises_is_undone(database: Database) -> None:
    statement = insert(digests).values(device=1, inode=1, size=1, mtime_ns=0, sha256="")
    with pytest.raises(KeyError), database.write() as connection:
        raise KeyError(connection.execute(statement).rowcount)
    assert sizes(database) == []


def test_changes_in_a_read_are_dropped(database: Database) -> None:
    with database.read() as connection:
        connection.execute(insert(digests).values(device=1, inode=1, size=1, mtime_ns=0, sha256=""))
    assert sizes(database) == []


def test_insert_knows_conflicts(database: Database) -> None:
    row = {"device": 1, "inode": 1, "size": 1, "mtime_ns": 0, "sha256": ""}
    again = (
        database.insert(digests).values(row).on_conflict_do_update(index_elements=["device", "inode"], set_={"size": 2})
    )
    for _ in range(2):
        with database.write() as connection:
            connection.execute(again)
    assert sizes(database) == [2]


def test_foreign_keys_hold_and_pass_through(database: Database) -> None:
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(insert(usage).values(account_id=77, used_bytes=0, used_files=0))


def test_a_wrong_statement_passes_through_where_the_database_can_tell(database: Database) -> None:
    with pytest.raises((exc.ProgrammingError, StateUnavailable)), database.read() as connection:
        connection.execute(text("SELEC"))


def test_no_increment_is_lost_among_threads_and_processes(database: Database, database_url: str) -> None:
    add(database, 1)
    code = f"""
from sqlalchemy import update
from homeport.core.schema import digests
from homeport.core.state import open_database
database = open_database({database_url!r})
for _ in range(50):
    with database.write() as connection:
        connection.execute(update(digests).values(size=digests.c.size + 1))
database.close()
"""

    def increment() -> None:
        for _ in range(25):
            with database.write() as connection:
                connection.execute(update(digests).values(size=digests.c.size + 1))

    other = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"})
    threads = [threading.Thread(target=increment) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(60) == 0
    assert sizes(database) == [6 * 25 + 50]


def test_processes_may_open_an_empty_database_at_once(database_url: str) -> None:
    code = f"""
import sys
from homeport.core.state import open_database
print("up", flush=True)
sys.stdin.readline()
database = open_database({database_url!r})
with database.read() as connection:
    print(connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar(), flush=True)
database.close()
"""
    command = [sys.executable, "-W", "error", "-c", code]
    pipe = subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": "src"}
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"up\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    assert [racer.communicate(timeout=60) for racer in racers] == [(b"0\n", b"")] * 4


def test_opening_the_newest_schema_does_not_load_alembic(database: Database, database_url: str) -> None:
    code = f"""
import sys
from homeport.core.state import open_database
open_database({database_url!r}).close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"}, check=True, timeout=60)


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def local(path: Path) -> Iterator[Database]:
    database = open_database(sqlite_url(path))
    yield database
    database.close()


def test_the_state_file_is_its_owners_alone(local: Database, path: Path) -> None:
    add(local, 1)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_a_state_file_that_others_can_read_is_closed_to_them(local: Database, path: Path) -> None:
    add(local, 1)
    for file in path.parent.iterdir():
        file.chmod(0o644)
    open_database(sqlite_url(path)).close()
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_the_pragmas_are_set(local: Database) -> None:
    with local.read() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert values == ["wal", 1, 1, 10_000]


def test_a_name_with_marks_of_urls_and_formats_is_only_a_name(tmp_path: Path) -> None:
    strange = tmp_path / "a%20b#c&d?e=f 漢字.db"
    open_database(sqlite_url(strange)).close()
    assert strange.exists()


def test_a_damaged_file_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("it is damaged; restore a backup")
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


def test_a_file_that_is_damaged_later_is_refused(local: Database, path: Path) -> None:
    local.close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 20000)
    with pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("it is damaged; restore a backup")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/state.db", "its file cannot be made (ENOENT)"),
        (".", "its path is not a regular file's"),
    ],
)
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    mode = tmp_path.stat().st_mode
    with pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(tmp_path / name))
    assert str(caught.value) == refused(reason)
    assert tmp_path.stat().st_mode == mode


def test_a_link_that_leads_nowhere_is_refused(path: Path) -> None:
    path.symlink_to("nowhere/state.db")
    with pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("its file is missing or cannot be opened")


def test_a_file_that_is_not_there_is_refused_unless_prepared(path: Path) -> None:
    database = Database(sqlite_url(path))
    with pytest.raises(StateUnavailable) as caught, database.read():
        pass
    assert str(caught.value) == refused("its file is missing; restore a backup")
    assert not path.exists()


def test_a_file_that_vanished_is_noticed_and_the_next_one_used(local: Database, path: Path) -> None:
    add(local, 1, size=1)
    saved = path.with_name("saved.db")
    with sqlite3.connect(path) as source, sqlite3.connect(saved) as target:
        source.backup(target)
    source.close()
    target.close()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for verb in (local.read, local.write):
        with pytest.raises(StateUnavailable, match="missing"), verb():
            pass
    saved.rename(path)
    add(local, 2, size=2)
    assert sizes(local) == [1, 2]


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may write to everything, so it steps down."""
    for above in (folder, *folder.parents[:3]):
        above.chmod(above.stat().st_mode | 0o711)
    was = os.geteuid()
    os.seteuid(NOBODY if was == 0 else was)
    try:
        yield
    finally:
        os.seteuid(was)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_read_only_file_is_refused(local: Database, path: Path, mode: str) -> None:
    local.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    if os.geteuid() == 0:
        os.chown(path.parent, NOBODY, -1)
        os.chown(path, NOBODY, -1)
    path.chmod(0o400)
    with as_nobody(path.parent), pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("it is read-only")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_somebody_else_that_others_can_read_is_refused(local: Database, path: Path) -> None:
    path.chmod(0o666)
    with as_nobody(path.parent), pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("its file can be read by others, and belongs to another user")


def test_a_writer_waits_for_one_of_another_process_then_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    database = open_database(sqlite_url(path))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateUnavailable) as caught:
        add(database, 1)
    assert str(caught.value) == refused("it is busy; try again in a moment")
    assert sizes(database) == []
    other.close()
    add(database, 1)
    database.close()


def test_a_writer_waits_for_one_of_another_thread_then_gives_up(
    local: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "BUSY_TIMEOUT_S", 0.05)
    with local.write(), pytest.raises(StateUnavailable) as caught, local.write():
        pass
    assert str(caught.value) == refused("it is busy; try again in a moment")
    add(local, 1)


def test_the_write_ahead_log_is_tried_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("homeport.core.sqlite_file.time.sleep", lambda _: other.close())
    open_database(sqlite_url(path)).close()


def test_the_write_ahead_log_is_not_tried_for_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []
    monkeypatch.setattr("homeport.core.sqlite_file.time.sleep", waits.append)
    with pytest.raises(StateUnavailable) as caught:
        open_database(sqlite_url(path))
    assert str(caught.value) == refused("it is busy; try again in a moment")
    assert sum(waits) == pytest.approx(sqlite_file.BUSY_TIMEOUT_S, rel=0.01)
    other.close()


# PostgreSQL


def test_a_server_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable) as caught:
        open_database(f"postgresql://app:secret@/db?host={tmp_path}")
    assert str(caught.value) == refused("the database server does not answer, or refuses the login")


def test_a_database_that_is_not_there_is_refused(postgres_url: str) -> None:
    with pytest.raises(StateUnavailable) as caught:
        open_database(postgres_url.replace("/test", "/absent"))
    assert str(caught.value) == refused("the database server does not answer, or refuses the login")


def test_a_server_that_closed_every_connection_is_asked_again(postgres_url: str) -> None:
    database = open_database(postgres_url)
    add(database, 1, size=5)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert sizes(database) == [5]
    database.close()


def test_a_standby_is_read_only(postgres_url: str) -> None:
    database = open_database(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "ALTER ROLE app IN DATABASE " + str(other.info.dbname) + " SET default_transaction_read_only = on"
        )
    database.close()
    with pytest.raises(StateUnavailable) as caught:
        open_database(postgres_url)
    assert str(caught.value) == refused("it is read-only")
    database.close()


def test_a_lock_is_waited_for_then_given_up(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "BUSY_TIMEOUT_S", 1.05)
    database = open_database(postgres_url)
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE digests")
        with pytest.raises(StateUnavailable) as caught:
            add(database, 1)
    assert str(caught.value) == refused("it is busy; try again in a moment")
    database.close()


def test_postgresql_without_its_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StateUnavailable) as caught:
        Database("postgresql://localhost/homeport")
    assert str(caught.value) == refused("PostgreSQL needs its driver; install homeport[postgres]")


# URLs and faults


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "its URL cannot be read; write sqlite:////path or postgresql://host/name"),
        ("state.db", "its URL cannot be read; write sqlite:////path or postgresql://host/name"),
        ("postgresql://host:port/db", "its URL cannot be read; write sqlite:////path or postgresql://host/name"),
        ("mysql://host/db", "it can be SQLite or PostgreSQL, not mysql"),
        ("sqlite://", "an SQLite database needs a file, such as sqlite:////srv/homeport/state.db"),
        ("sqlite:///:memory:", "an SQLite database needs a file, such as sqlite:////srv/homeport/state.db"),
    ],
)
def test_other_urls_are_refused(url: str, reason: str) -> None:
    with pytest.raises(StateUnavailable) as caught:
        Database(url)
    assert str(caught.value) == refused(reason)


def sqlite_error(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("detail")
    if code is not None:
        error.sqlite_errorcode = code
    return error


def postgres_error(sqlstate: str | None) -> psycopg.Error:
    error = psycopg.OperationalError("detail")
    error.sqlstate = sqlstate
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), state_faults.BUSY),
        (sqlite_error(sqlite3.SQLITE_FULL), state_faults.FULL),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), state_faults.DISK_FAILED),
        (sqlite_error(sqlite3.SQLITE_READONLY_DBMOVED), state_faults.READ_ONLY),
        (sqlite_error(sqlite3.SQLITE_ERROR), None),
        (sqlite_error(None), None),
        (postgres_error(None), state_faults.NO_ANSWER),
        (postgres_error("08006"), state_faults.NO_ANSWER),
        (postgres_error("57P01"), state_faults.NO_ANSWER),
        (postgres_error("40P01"), state_faults.BUSY),
        (postgres_error("53100"), state_faults.FULL),
        (postgres_error("42501"), state_faults.FORBIDDEN),
        (postgres_error("42601"), None),
    ],
)
def test_every_fault_has_its_reason(error: Exception, reason: str | None) -> None:
    assert state_faults.reason_of(error) == reason


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (exc.TimeoutError("pool"), state_faults.BUSY),
        (sqlite_error(None), state_faults.REFUSED),
        (exc.OperationalError("SELECT", {}, sqlite_error(sqlite3.SQLITE_ERROR)), state_faults.REFUSED),
        (exc.OperationalError("SELECT", {}, sqlite_error(sqlite3.SQLITE_FULL)), state_faults.FULL),
        (exc.ProgrammingError("SELECT", {}, postgres_error("42501")), state_faults.FORBIDDEN),
    ],
)
def test_faults_are_translated_and_chained(raised: Exception, reason: str) -> None:
    with pytest.raises(StateUnavailable) as caught, state_faults.translated():
        raise raised
    assert str(caught.value) == refused(reason)
    assert caught.value.__cause__ is raised


def test_what_the_caller_caused_passes_through() -> None:
    raised = exc.ProgrammingError("SELECT", {}, postgres_error("42601"))
    with pytest.raises(exc.ProgrammingError), state_faults.translated():
        raise raised


def test_leases_go_with_their_process(database: Database) -> None:
    """The cascade that the ledger relies on."""
    with database.write() as connection:
        connection.execute(text("INSERT INTO processes VALUES ('p', 'h', 1, 0)"))
        connection.execute(
            text(
                "INSERT INTO accounts (id, name, name_key, argon2, scram_sha256, rights, enabled, allow_exec,"
                " created_at, password_changed_at) VALUES (1, 'a', 'a', '', '', 'all', true, false, 0, 0)"
            )
        )
        connection.execute(insert(leases).values(process_id="p", account_id=1, bytes=1, files=1, recalled=False))
        connection.execute(text("DELETE FROM processes"))
        assert connection.scalar(select(leases.c.bytes)) is None
