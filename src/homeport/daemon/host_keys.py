"""The SSH server's own keys, by which clients know it again: made once, in the instance's `ssh` folder, and kept.

One rule: a key that anybody but the server's user can read is refused, and none is ever replaced.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeport.daemon.instance import Instance

_FIRST = "ssh_host_ed25519_key"
_PATTERN = "ssh_host_*_key"


@dataclass(frozen=True, slots=True)
class HostKeyFacts:
    """What people compare: the kind of key, such as `ssh-ed25519`, and its fingerprint as OpenSSH shows it."""

    kind: str
    fingerprint: str


def host_keys(instance: Instance) -> tuple[Path, ...]:
    """The files with the private keys, the first one made if there is none. Raises OSError, also for loose modes.

    The administrator may add others, called ssh_host_..._key.
    """
    folder = instance.path("ssh")
    if not any(folder.glob(_PATTERN)):
        _make(folder)
    found = sorted(folder.glob(_PATTERN), key=lambda path: (path.name != _FIRST, path.name))
    for path in found:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise OSError(f"the SSH host key {path} has mode {mode:04o}, others could read it; run chmod 600 {path}")
    return tuple(found)


def facts_of(instance: Instance) -> HostKeyFacts | None:
    """The facts of the first key; None where there is none yet, or none that can be read."""
    try:
        line = instance.path(f"ssh/{_FIRST}.pub").read_text("ascii").split()
        return HostKeyFacts(line[0], fingerprint_of(base64.b64decode(line[1], validate=True)))
    except (OSError, ValueError, IndexError):
        return None


def fingerprint_of(blob: bytes) -> str:
    """The SHA-256 of a public key, as OpenSSH shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    with suppress(FileExistsError):  # another worker was faster
        _appear(folder / _FIRST, secret, 0o600)
        _appear(folder / f"{_FIRST}.pub", public + b" homeport\n", 0o644)


def _appear(path: Path, data: bytes, mode: int) -> None:
    """Have a whole file at `path`, in one step. Raises FileExistsError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(fd, mode)
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.link(draft, path)
    finally:
        os.unlink(draft)
