from __future__ import annotations

import hashlib
import os
from pathlib import Path

from homeport.core.paths import ROOT
from homeport.core.transfer import Download, Opened, Outcome


def opened(folder: Path, outcomes: list[Outcome], sha256: str | None = None) -> Download:
    path = folder / "file"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    return Download(ROOT.child("file"), Opened(fd, os.fstat(fd)), 2, outcomes.append, sha256=sha256)


def test_a_part_of_a_file_ends_where_it_was_told_to(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    download = opened(tmp_path, outcomes)
    download.stop_at(100)
    assert (download.size, download.whole_size) == (10, 10)
    download.stop_at(5)
    buffer = bytearray(100)
    assert download.read_into(buffer) == 3
    assert buffer[:3] == b"234"
    download.finish()
    assert [outcome.moved for outcome in outcomes] == [3]
    assert download.whole_size == 10


def test_the_digest_is_handed_on(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"0123456789").hexdigest()
    download = opened(tmp_path, [], digest)
    assert download.sha256 == digest
    download.abort("enough")
