from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.conftest import Run


def add(run: Run, name: str, *options: str) -> None:
    assert run("user", "add", name, "--generate", *options).code == 0


def test_show(run: Run) -> None:
    add(run, "bob", "--quota", "10GiB")
    add(run, "eve", "--max-files", "5")
    assert run("quota", "show", "--json").objects == [
        {"name": "bob", "used_bytes": 0, "quota_bytes": 10 * 1024**3, "used_files": 0, "max_files": None},
        {"name": "eve", "used_bytes": 0, "quota_bytes": None, "used_files": 0, "max_files": 5},
    ]
    assert run("quota", "show", "eve").out.splitlines() == [
        "NAME  USED     QUOTA  FILES  MAX",
        "eve   0 bytes  none   0      5",
    ]
    assert run("quota", "show", "nobody").code == 3


def test_check_repairs_what_came_behind_the_servers_back(run: Run, directory: Path) -> None:
    add(run, "bob")
    add(run, "eve")
    home = directory / "homes" / "bob"
    (home / "folder").mkdir()
    (home / "folder" / "file").write_bytes(b"x" * 1000)
    found = run("quota", "check", "--json").objects
    assert found[0] == {
        "name": "bob",
        "used_bytes": 1000,
        "quota_bytes": None,
        "used_files": 2,
        "max_files": None,
        "drift_bytes": 1000,
        "drift_files": 2,
    }
    assert found[1]["drift_bytes"] == 0
    assert run("quota", "check", "bob").err == "bob: right, 1000 bytes in 2 files\n"
    (home / "folder" / "file").unlink()
    assert run("quota", "check", "bob").err == "bob: repaired, off by -1000 bytes and -1 files\n"


def test_a_home_that_is_gone_does_not_stop_the_others(run: Run, directory: Path) -> None:
    add(run, "bob")
    add(run, "eve")
    shutil.rmtree(directory / "homes" / "bob")
    done = run("quota", "check", "--json")
    assert done.code == 8
    assert done.objects[0] == {
        "name": "bob",
        "error": "this account's home is not available; tell the administrator",
    }
    assert done.objects[1]["name"] == "eve"
    assert run("quota", "check", "bob").code == 1
