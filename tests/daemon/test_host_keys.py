"""The SSH server's keys: made once, kept private, and never replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from homeport.daemon import host_keys
from homeport.daemon.host_keys import HostKeyFacts, facts_of
from homeport.daemon.instance import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def test_the_first_key_is_made_private_and_kept(instance: Instance) -> None:
    assert facts_of(instance) is None
    (path,) = host_keys.host_keys(instance)
    key = asyncssh.read_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert host_keys.host_keys(instance) == (path,)
    assert path.read_bytes() == before
    assert facts_of(instance) == HostKeyFacts("ssh-ed25519", key.get_fingerprint())
    assert sorted(found.name for found in path.parent.iterdir()) == [path.name, f"{path.name}.pub"]


def test_another_process_s_key_stays(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = host_keys.host_keys(instance)
    before = path.read_bytes()
    host_keys._make(path.parent)
    assert path.read_bytes() == before


def test_keys_of_the_administrator_come_second(instance: Instance) -> None:
    (first,) = host_keys.host_keys(instance)
    second = first.with_name("ssh_host_a_key")
    asyncssh.generate_private_key("ecdsa-sha2-nistp256").write_private_key(second)
    second.chmod(0o600)
    assert host_keys.host_keys(instance) == (first, second)


def test_a_key_that_others_may_read_is_refused(instance: Instance) -> None:
    (path,) = host_keys.host_keys(instance)
    path.chmod(0o640)
    with pytest.raises(OSError, match=r"has mode 0640, others could read it; run chmod 600 "):
        host_keys.host_keys(instance)


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 %%%"])
def test_a_public_key_that_cannot_be_read_is_none(instance: Instance, text: str) -> None:
    (path,) = host_keys.host_keys(instance)
    path.with_name(f"{path.name}.pub").write_text(text)
    assert facts_of(instance) is None
