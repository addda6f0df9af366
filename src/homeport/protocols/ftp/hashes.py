"""Replies that carry a digest: HASH (draft-bryan-ftpext-hash) and the older commands, one algorithm each.

The one rule: hexadecimal digits are lower case for HASH, upper case for the older ones, as their clients compare.
"""

from __future__ import annotations

from homeport.protocols.ftp.replies import Reply, quote_path


def hash_reply(algorithm: str, start: int, end: int, digest: str, path: str) -> Reply:
    """213 for HASH: `digest` (hex) of the bytes from `start` up to and without `end`; the reply names the last byte."""
    return Reply(213, (f"{algorithm} {start}-{max(start, end - 1)} {digest.lower()} {path}",))


def digest_reply(verb: str, digest: str, path: str) -> Reply:
    """250 with the digest for the X commands, 251 with the path before it for MD5 (draft-twine-ftpmd5)."""
    if verb == "MD5":
        return Reply(251, (f"{quote_path(path)} {digest.upper()}",))
    return Reply(250, (digest.upper(),))
