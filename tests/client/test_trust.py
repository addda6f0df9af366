from __future__ import annotations

from homeport.client.trust import KnownHosts


def test_without_a_file_nobody_is_known_and_nothing_is_kept() -> None:
    nobody = KnownHosts(None)
    nobody.remember("ftp://host:2121", "sha256:00")
    assert nobody.all() == {}
    assert not nobody.forget("ftp://host:2121")
