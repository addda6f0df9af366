"""URLs as the command line takes them: `ftp://NAME@HOST[:PORT]/PATH`, a profile's `team:/PATH`, or a local path.

A password inside a URL is refused: command lines end up in histories and process lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from homeport.client.errors import UsageError

# The registered ports, as every other client takes them; HPTP has none but ours.
SCHEME_PORTS = {"ftp": 21, "ftps": 990, "sftp": 22, "hp": 2120}
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PROFILE = re.compile(r"^([A-Za-z0-9][\w.-]+):(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RemoteUrl:
    """A place on a server. `user` is None when the URL names nobody; `path` is absolute."""

    scheme: str
    host: str
    port: int
    user: str | None
    path: str

    @property
    def server(self) -> str:
        """The server without account and path, as the trust store knows it: `ftp://host:2121`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def with_path(self, path: str) -> RemoteUrl:
        return RemoteUrl(self.scheme, self.host, self.port, self.user, path)

    def __str__(self) -> str:
        account = f"{quote(self.user, safe='')}@" if self.user is not None else ""
        scheme, _, place = self.server.partition("://")
        return f"{scheme}://{account}{place}{quote(self.path, errors='surrogateescape')}"


def parse_url(text: str) -> RemoteUrl:
    """Read a URL. Raises UsageError that says what is wrong and how it should look."""
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme not in SCHEME_PORTS:
        known = ", ".join(f"{name}://" for name in SCHEME_PORTS)
        raise UsageError(f"{text!r} is no URL of a file server; one begins with {known}")
    # Only the part before the path follows the rules of URLs: `?` and `#` are ordinary characters of file names.
    authority, _, raw_path = text[len(scheme) + 3 :].partition("/")
    parts = urlsplit(f"//{authority}")
    if parts.password is not None:
        raise UsageError(
            "a password in a URL ends up in histories and process lists; leave it out and you are asked for it, "
            "or use --password-stdin or $HOMEPORT_PASSWORD"
        )
    try:
        port = parts.port
    except ValueError:
        raise UsageError(f"{text!r}: the port must be a number from 1 to 65535") from None
    if not parts.hostname or port == 0:
        raise UsageError(f"{text!r} names no host and port; like this: {scheme}://NAME@HOST/PATH")
    user = unquote(parts.username, errors="surrogateescape") if parts.username else None
    path = "/" + unquote(raw_path, errors="surrogateescape")
    if any(character in f"{user}{path}" for character in "\r\n\0"):
        raise UsageError(f"{text!r}: a name cannot hold a line break or NUL")
    return RemoteUrl(scheme, parts.hostname, port or SCHEME_PORTS[scheme], user, path)


def split_profile(text: str) -> tuple[str, str] | None:
    """`team:/in/x` as ("team", "/in/x"); None when `text` is a URL or can only be a local path."""
    if _SCHEME.match(text):
        return None
    found = _PROFILE.match(text)
    return (found[1], found[2]) if found else None


def is_url(text: str) -> bool:
    """Whether `text` is written as a URL, of whatever scheme."""
    return _SCHEME.match(text) is not None
