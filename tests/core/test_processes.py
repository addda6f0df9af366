from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select, update

from homeport.core import processes as module
from homeport.core.errors import StorageFailed
from homeport.core.processes import DEAD_AFTER_S, Processes, boot_id
from homeport.core.schema import processes
from homeport.core.state import Database


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def known(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.scalars(select(processes.c.id)))


def move_to_host(database: Database, process: Processes, host: str) -> None:
    with database.write() as connection:
        connection.execute(update(processes).where(processes.c.id == process.id).values(host=host))


def test_ids_are_never_used_twice(database: Database) -> None:
    first, second = Processes(database, "worker"), Processes(database, "worker")
    assert first.id != second.id
    assert first.id.startswith("worker-")
    assert len(Processes(database, "w" * 100).id) <= 64


def test_a_lock_tells_the_living_from_the_dead(database: Database, tmp_path: Path) -> None:
    clock, folder = Clock(), tmp_path / "run"
    victim, witness = (Processes(database, name, folder, clock=clock) for name in ("victim", "witness"))
    for process in victim, witness:
        process.register()
        process.register()
    clock.now += 10 * DEAD_AFTER_S  # however late its heartbeat is
    assert witness.alive(victim.id)
    assert witness.alive(witness.id)
    assert not witness.alive("nobody")
    assert witness.dead() == {}
    assert victim._lock is not None
    os.close(victim._lock)
    assert not witness.alive(victim.id)
    assert witness.dead() == {victim.id: False}
    witness.forget([victim.id])
    assert known(database) == [witness.id]
    assert [file.name for file in folder.iterdir()] == [f"process-{witness.id}.lock"]
    witness.close()
    assert known(database) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("folder", [True, False])
def test_between_machines_the_heartbeat_tells(database: Database, tmp_path: Path, folder: bool) -> None:
    clock = Clock()
    far = Processes(database, "far", clock=clock)
    near = Processes(database, "near", tmp_path if folder else None, clock=clock)
    far.register()
    move_to_host(database, far, "elsewhere/boot")
    clock.now += DEAD_AFTER_S - 1
    assert near.alive(far.id)
    clock.now += 1
    assert not near.alive(far.id)
    assert far.beat()
    assert near.alive(far.id)
    near.forget([far.id])
    assert not far.beat()
    far.close()


def test_a_restart_of_the_machine_ends_its_processes(database: Database) -> None:
    before, after = Processes(database, "before", boot="one"), Processes(database, "after", boot="two")
    before.register()
    assert not after.alive(before.id)
    assert after.dead() == {before.id: True}


def test_a_folder_that_cannot_be_used_is_told(database: Database, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    process = Processes(database, "worker", tmp_path / "run")
    with pytest.raises(StorageFailed, match=r"^the server's disk failed \(EEXIST\)"):
        process.register()
    process.close()


def test_the_kernel_names_its_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert boot_id() == boot_id()
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / "missing")
    assert boot_id() == ""
