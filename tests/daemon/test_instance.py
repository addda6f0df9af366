from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from homeport.config.model import Settings
from homeport.daemon.errors import AlreadyRunning, InstanceUnusable
from homeport.daemon.instance import Instance


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOMEPORT_DIR", raising=False)
    assert Instance.at(None).directory == tmp_path / "homeport-data"
    monkeypatch.setenv("HOMEPORT_DIR", "elsewhere")
    assert Instance.at(None).directory == tmp_path / "elsewhere"
    assert Instance.at("given/../here").directory == tmp_path / "here"


def test_everything_that_is_made_is_private(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "a" / "b")
    old = os.umask(0)
    try:
        instance.create(Settings())
    finally:
        os.umask(old)
    made = list((tmp_path / "a" / "b").rglob("*"))
    assert {path.name for path in made} == {"tls", "ssh", "logs", "run", "homes", "stage"}
    assert {mode(path) for path in [instance.directory, *made]} == {0o700}
    instance.create(Settings())


def test_the_database(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    assert instance.database_url(Settings()) == f"sqlite:///{tmp_path}/state.db"
    given = Settings.model_validate({"database": {"url": "postgresql://db/homeport"}})
    assert instance.database_url(given) == "postgresql://db/homeport"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    from homeport.core.state import open_database

    instance = Instance(tmp_path / "50% off?")
    instance.directory.mkdir()
    open_database(instance.database_url(Settings())).close()
    assert instance.state_file.exists()


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(InstanceUnusable) as caught:
        Instance(directory).create(Settings())
    assert str(caught.value) == (
        f"the instance folder {directory} cannot be used: others may write in it; run chmod 700 {directory}"
    )


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InstanceUnusable, match="this process runs as user"):
        Instance(tmp_path / "file").create(Settings())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir(mode=0o700)
    os.chown(directory, 4711, -1)
    with pytest.raises(InstanceUnusable, match="it belongs to user 4711; run as that user"):
        Instance(directory).create(Settings())


def test_one_server_at_a_time(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    instance.create(Settings())
    with instance.lock():
        with pytest.raises(AlreadyRunning) as caught, instance.lock():
            pass
        assert caught.value.pid == os.getpid()
    with instance.lock():
        pass
    instance.wait_until_free()


def test_whether_there_is_one(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "here")
    assert not instance.exists
    instance.directory.mkdir(mode=0o700)
    assert not instance.exists
    instance.config_file.touch()
    assert instance.exists


def test_a_lock_that_cannot_be_had_is_a_sentence(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    (instance.run / "server.lock").mkdir(parents=True)
    with pytest.raises(InstanceUnusable, match=r"cannot be used: Is a directory \(.*server.lock\)"), instance.lock():
        pass
