"""How each program moves a folder there and back: a table of commands.

The one rule: every peer does its best as its manual says, with ten connections where it can have many; only ours
verifies every digest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hptp_place import FTP_PORT, HPTP_PORT, PASSWORD, RSYNC_PORT, SSH_PORT, TLS_PORT, USER, Place

QUIET = ("--progress", "none")
Command = Callable[[Place, Path, str], list[str]]
"""From a place, a local folder and the name of a folder at the server to the words of a command."""


@dataclass(frozen=True)
class Peer:
    """`up` stores the local folder in the other, `down` fetches what is in the other as the local folder, `sync` makes
    the other's content like the local folder's. `at_home`: its files are in the account's home, else in `shared`.
    """

    name: str
    at_home: bool
    up: Command
    down: Command
    sync: Command | None = None

    def there(self, place: Place, name: str) -> Path:
        """The folder `name` as it lies at the server."""
        return (place.home if self.at_home else place.shared) / name


def hp(place: Place) -> str:
    return f"hp://{USER}@{place.peer}:{HPTP_PORT}"


def _ftp(place: Place, verb: str, *words: str) -> list[str]:
    said = ["env", f"HOMEPORT_PASSWORD={PASSWORD}", "homeport", verb, *QUIET, "--fingerprint", place.fingerprint]
    url = f"ftp://{USER}@{place.peer}:{FTP_PORT}"
    return [*said, "--jobs", "10", *(word.replace("FTP:", url) for word in words)]


def _rsync_ssh(place: Place, *words: str) -> list[str]:
    return ["rsync", "-a", "-e", f"ssh -F {place.path('ssh.conf')}", *words]


def _sftp(place: Place, *lines: str) -> list[str]:
    batch = place.folder / "sftp-batch"
    batch.write_text("\n".join(lines) + "\n")
    return ["sftp", "-q", "-F", place.path("ssh.conf"), "-b", str(batch), "host"]


def _lftp(place: Place, mirror: str) -> list[str]:
    opening = (
        "set cmd:fail-exit yes; set ssl:verify-certificate no; set ftp:ssl-force yes; set ftp:ssl-protect-data yes"
    )
    login = f"open -u {USER},'{PASSWORD}' -p {FTP_PORT} {place.peer}"
    return ["lftp", "-c", f"{opening}; {login}; mirror --parallel=10 {mirror}"]


def _rclone(place: Place, verb: str, *words: str) -> list[str]:
    place_there = ["--sftp-host", place.peer, "--sftp-port", str(SSH_PORT), "--sftp-user", "root"]
    how = ["--config", "/dev/null", "--sftp-key-file", place.path("key"), "--transfers", "10", "--checkers", "10"]
    return ["rclone", verb, *how, *place_there, *words]


def _tls(place: Place, way: str, folder: Path) -> list[str]:
    amount = sum(path.stat().st_size for path in folder.iterdir())
    return [sys.executable, "-m", "benchmarks.bare_tls", way, place.peer, str(TLS_PORT), str(amount)]


def _daemon(place: Place) -> str:
    return f"rsync://{place.peer}:{RSYNC_PORT}/x"


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "hptp",
            True,
            lambda place, here, name: ["homeport", "put", *QUIET, "-r", str(here), f"{hp(place)}/{name}/"],
            lambda place, here, name: ["homeport", "get", *QUIET, "-r", f"{hp(place)}/{name}/{here.name}", str(here)],
            lambda place, here, name: ["homeport", "sync", *QUIET, str(here), f"{hp(place)}/{name}"],
        ),
        Peer(
            "rsync",
            False,
            lambda place, here, name: ["rsync", "-a", str(here), f"{_daemon(place)}/{name}/"],
            lambda place, here, name: ["rsync", "-a", f"{_daemon(place)}/{name}/{here.name}/", str(here)],
            lambda place, here, name: ["rsync", "-a", f"{here}/", f"{_daemon(place)}/{name}/"],
        ),
        Peer(
            "rsync-ssh",
            False,
            lambda place, here, name: _rsync_ssh(place, str(here), f"host:{place.shared}/{name}/"),
            lambda place, here, name: _rsync_ssh(place, f"host:{place.shared}/{name}/{here.name}/", str(here)),
            lambda place, here, name: _rsync_ssh(place, f"{here}/", f"host:{place.shared}/{name}/"),
        ),
        Peer(
            "sftp",
            False,
            lambda place, here, name: _sftp(
                place, f"mkdir {place.shared}/{name}", f"put -R {here} {place.shared}/{name}/"
            ),
            lambda place, here, name: _sftp(place, f"get -R {place.shared}/{name}/{here.name} {here.parent}"),
        ),
        Peer(
            "ftp",
            True,
            lambda place, here, name: _ftp(place, "put", "-r", str(here), f"FTP:/{name}/"),
            lambda place, here, name: _ftp(place, "get", "-r", f"FTP:/{name}/{here.name}", str(here)),
            lambda place, here, name: _ftp(place, "sync", str(here), f"FTP:/{name}"),
        ),
        Peer(
            "lftp",
            True,
            lambda place, here, name: _lftp(place, f"-R {here} /{name}/{here.name}"),
            lambda place, here, name: _lftp(place, f"/{name}/{here.name} {here}"),
            lambda place, here, name: _lftp(place, f"-R {here} /{name}"),
        ),
        Peer(
            "rclone",
            False,
            lambda place, here, name: _rclone(place, "copy", str(here), f":sftp:{place.shared}/{name}/{here.name}"),
            lambda place, here, name: _rclone(place, "copy", f":sftp:{place.shared}/{name}/{here.name}", str(here)),
            lambda place, here, name: _rclone(place, "sync", str(here), f":sftp:{place.shared}/{name}"),
        ),
        Peer(
            "tls",
            False,
            lambda place, here, _: _tls(place, "up", here),
            lambda place, here, name: _tls(place, "down", place.shared / name / here.name),
        ),
    )
}


def lay_out(peer: Peer, place: Place, source: Path, name: str) -> None:
    """Have the server hold `source` in the folder `name`, unless it does: ours by an upload, so that it has digests."""
    there = peer.there(place, name) / source.name
    if there.exists():
        return
    if peer.at_home:
        place.run(place.near(*PEERS["hptp"].up(place, source, name)))
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-al", str(source), str(there)], check=True)  # it is only read


def lay_out_copy(peer: Peer, place: Place, source: Path, name: str) -> None:
    """Have the server hold what is in `source`, with its times, as the folder `name`, to be brought up to date."""
    there = peer.there(place, name)
    if peer.at_home:
        place.run(place.near(*_needed(PEERS["hptp"].sync)(place, source, name)))
    else:
        subprocess.run(["rsync", "-a", "--delete", f"{source}/", str(there)], check=True)


def _needed(command: Command | None) -> Command:
    assert command is not None
    return command


def forget(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    assert not os.path.lexists(folder)
