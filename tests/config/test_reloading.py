from __future__ import annotations

from pathlib import Path

from homeport.config.load import load
from homeport.config.model import Settings, key_paths
from homeport.config.reloading import NEEDS_RESTART, changes, effective, value_at


def test_the_table_names_keys_that_exist() -> None:
    assert set(key_paths()) >= NEEDS_RESTART


def test_every_key_can_be_looked_up() -> None:
    for key in key_paths():
        value_at(Settings(), key)


def test_what_takes_effect_and_what_waits(tmp_path: Path) -> None:
    old = Settings()
    new = load(tmp_path, ["workers=3", "ftp.port=5", "ftp.greeting=Hi", "limits.idle_timeout_s=5", "drain_timeout_s=1"])
    found = changes(old, new)
    assert found.applied == ("drain_timeout_s", "ftp.greeting", "limits.idle_timeout_s")
    assert found.needs_restart == ("workers", "ftp.port")
    now = effective(old, new)
    assert (now.workers, now.ftp.port) == (0, 2121)
    assert (now.ftp.greeting, now.limits.idle_timeout_s, now.drain_timeout_s) == ("Hi", 5.0, 1.0)
    assert changes(now, new).applied == ()
    assert changes(old, old) == changes(new, new)
