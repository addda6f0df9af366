"""`homeport hash`: a file's digest as the server has it, compared with a local file's when one is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options
from homeport.cli.terminal import printable, put, put_json, say

if TYPE_CHECKING:
    from homeport.client.remote import Digest, Remote

BEST_FIRST = ("SHA-256", "SHA-512", "SHA-1", "MD5", "CRC32")


@click.command(name="hash")
@click.argument("url")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--algorithm", "-a", type=click.Choice(BEST_FIRST, case_sensitive=False), help="[default: the server's best]"
)
@options.connects
@options.as_json
def command(url: str, file: Path | None, algorithm: str | None, as_json: bool, how: options.How) -> None:
    """Show the digest of the file at URL; with FILE, compare the two and end with 7 if they differ."""
    from homeport.cli.connecting import Connector, connected

    connector = Connector(how)
    place = connector.remote_of(url)
    with connected(connector, place) as remote:
        digest = digest_of(remote, place.path, algorithm)
    local = None if file is None else local_digest(file, digest.algorithm)
    if as_json:
        equal = None if local is None else local == digest.value
        facts = {"path": place.path, "algorithm": digest.algorithm, "digest": digest.value, "equal": equal}
        put_json({"event": "summary", **facts})
    else:
        put(f"{digest.value}  {printable(place.path)}")
        say(digest.algorithm)
    if file is not None and local is not None:
        compare(file, local, digest, quiet=as_json)


def digest_of(remote: Remote, path: str, algorithm: str | None) -> Digest:
    """The digest in `algorithm`, or in the best one that the server knows. Raises Incompatible when there is none."""
    from homeport.client.errors import Incompatible

    known = remote.abilities.digests
    chosen = algorithm or next((name for name in BEST_FIRST if name in known), None)
    if chosen is None:
        raise Incompatible("this server cannot tell digests; `homeport get` the file to compare it")
    return remote.digest(path, chosen)


def local_digest(file: Path, algorithm: str) -> str:
    """The digest of a file on this machine, in lower-case hex. Raises LocalFailed."""
    from homeport.client.digesting import HASHERS, feed
    from homeport.client.errors import LocalFailed

    hasher = HASHERS[algorithm]()
    try:
        with file.open("rb", buffering=0) as opened:
            feed(hasher, opened, os.fstat(opened.fileno()).st_size)
    except OSError as failure:
        raise LocalFailed(f"{file} cannot be read: {failure.strerror}") from failure
    return hasher.hexdigest()


def compare(file: Path, local: str, digest: Digest, *, quiet: bool) -> None:
    """Say that both are equal. Raises IntegrityMismatch when they are not."""
    from homeport.client.errors import IntegrityMismatch

    if local != digest.value:
        sentence = f"{file} differs from the server's file: its {digest.algorithm} is {local}"
        raise IntegrityMismatch(sentence, digest.value, local)
    if not quiet:
        say(f"{printable(str(file))} is equal")
