"""Entry: what the kernel says of a name, in the words of the house."""

import os
from pathlib import Path

import pytest

from homeport.core.entries import Entry, Kind


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.write_bytes(b"four"), Kind.FILE),
        (lambda path: path.mkdir(), Kind.DIRECTORY),
        (lambda path: path.symlink_to("nowhere"), Kind.LINK),
        (lambda path: os.mkfifo(path), Kind.OTHER),
    ],
    ids=["file", "folder", "link", "fifo"],
)
def test_kinds(tmp_path: Path, make, kind: Kind) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x"
    make(path)
    found = path.lstat()
    entry = Entry.of("x", found)
    assert entry.kind is kind
    assert (entry.size, entry.mtime_ns, entry.inode) == (found.st_size, found.st_mtime_ns, found.st_ino)
