from __future__ import annotations

import tomllib
from pathlib import Path

from tests.cli.conftest import Run


def test_nothing_is_wrong(run: Run, directory: Path) -> None:
    done = run("config", "check")
    assert (done.code, done.err) == (0, f"{directory}/homeport.toml: nothing is wrong\n")
    assert not directory.exists()


def test_everything_that_is_wrong(run: Run, directory: Path) -> None:
    directory.mkdir()
    (directory / "homeport.toml").write_text("workers = -1\n[ftp]\nprot = 1\n", encoding="utf-8")
    done = run("config", "check", "--set", "fsync=maybe")
    assert done.code == 2
    assert done.err.splitlines() == [
        "homeport: the configuration has 3 problems:",
        "  workers: -1 is too small; the least is 0",
        "  fsync: 'maybe' is not one of 'always', 'group' or 'never'",
        "  ftp.prot: unknown key; did you mean ftp.port?",
    ]
    done = run("config", "check", "--json")
    assert done.code == 2
    assert done.objects == [
        {"key": "workers", "what": "-1 is too small; the least is 0", "advice": ""},
        {"key": "ftp.prot", "what": "unknown key", "advice": "did you mean ftp.port?"},
        {"file": f"{directory}/homeport.toml", "problems": 2},
    ]


def test_show(run: Run) -> None:
    shown = run("config", "show", "--set", "ftp.port=2100", "--set", "database.url=postgresql://u:secret@h/d").out
    tree = tomllib.loads(shown)
    assert tree["ftp"] == {"port": 2100}
    assert tree["database"] == {"url": "postgresql://u:***@h/d"}
    assert '\n# workers = "auto"\n' in shown
    [values] = run("config", "show", "--json").objects
    assert values["ftp"]["port"] == 2121
    assert run("config", "show", "--set", "nonsense=1").code == 2
