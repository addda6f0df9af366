"""Device nodes for commands of a server whose user owns the machine's own ones: copies that belong to nobody.

The one rule: a command can change no node that others use. Who owns /dev/null may forbid it to the whole machine with
one chmod, and bubblewrap cannot mount a node both usable and read-only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_NAMES = ("full", "null", "random", "tty", "urandom", "zero")
_NOBODY = 65534
_MODE = 0o666


class NoDevices(Exception):
    """The copies cannot be made or used here."""


def own_nodes(folder: Path) -> dict[str, Path]:
    """The nodes to show to commands in place of the machine's, by name; none where those belong to somebody else.

    They are kept in `folder`, which is made. Raises NoDevices.
    """
    if os.stat("/dev/null").st_uid != os.geteuid():
        return {}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _NAMES:
            if not _is_right(folder / name, name):
                _make(folder / name, name)
        os.close(os.open(folder / "null", os.O_RDONLY | os.O_CLOEXEC))  # not where devices are switched off
    except OSError as error:
        raise NoDevices(error.strerror or type(error).__name__) from error
    return {name: folder / name for name in _NAMES}


def _is_right(node: Path, name: str) -> bool:
    try:
        found = node.lstat()
    except FileNotFoundError:
        return False
    owned = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (_NOBODY, _NOBODY, _MODE)
    return owned and stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(f"/dev/{name}").st_rdev


def _make(node: Path, name: str) -> None:
    """Under another name first: another worker may be making the same."""
    draft = node.with_name(f".{name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    os.mknod(draft, stat.S_IFCHR | 0o600, os.stat(f"/dev/{name}").st_rdev)
    os.chown(draft, _NOBODY, _NOBODY)
    os.chmod(draft, _MODE)
    os.replace(draft, node)
