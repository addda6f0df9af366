"""Profiles: short names for servers, in a TOML file that a person may read, edit and share.

The one rule: no secret is ever in it, and a key that looks like one stops everything with the way to do it right.

    [team]
    url = "ftp://alice@files.example.org:2121/in"
    jobs = 8
    password_command = ["pass", "show", "team"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeport.client.errors import LocalFailed, UsageError
from homeport.client.fingerprint import parse_fingerprint
from homeport.client.url import RemoteUrl, parse_url, split_profile

_SECRETS = ("password", "passwd", "pass", "secret", "token")


@dataclass(frozen=True, slots=True)
class Profile:
    """One server with the options that belong to it; None means the default."""

    name: str
    url: RemoteUrl
    jobs: int | None = None
    plain: bool = False
    charset: str | None = None
    fingerprint: str | None = None
    password_command: tuple[str, ...] = ()
    identity: Path | None = None

    def place(self, path: str) -> RemoteUrl:
        """`team:/x` is `/x` on that server; `team:x` and `team:` are below the folder that the profile names."""
        if path.startswith("/"):
            return self.url.with_path(path)
        return self.url.with_path(f"{self.url.path.rstrip('/')}/{path}".rstrip("/") or "/")


class Profiles:
    """The file of profiles. A missing file holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> Profile:
        """Raises UsageError, which names the nearest one."""
        tables = self._tables()
        if name not in tables:
            near = _nearest(name, tables)
            hint = f"; did you mean {near[0]}?" if near else f"; {self.path} has none of that name"
            raise UsageError(f"{name}: is no profile and no URL{hint}")
        return self._profile(name, tables[name])

    def all(self) -> list[Profile]:
        """Every profile, by name. Raises UsageError for the first that is wrong."""
        return [self._profile(name, table) for name, table in sorted(self._tables().items())]

    def names(self) -> list[str]:
        return sorted(self._tables())

    def _tables(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as failure:
            raise LocalFailed(f"{self.path} cannot be read: {failure}") from failure
        except tomllib.TOMLDecodeError as failure:
            raise UsageError(f"{self.path}: {failure}") from failure

    def _profile(self, name: str, table: object) -> Profile:
        if not isinstance(table, dict):
            raise UsageError(f"{self.path}: {name} must be a table: [{name}] and below it url = ...")
        for key, value in table.items():
            self._check(name, key, value)
        if "url" not in table:
            raise UsageError(f'{self.path}: [{name}] needs a url, such as url = "ftp://NAME@HOST/PATH"')
        fingerprint = table.get("fingerprint")
        return Profile(
            name,
            parse_url(table["url"]),
            table.get("jobs"),
            table.get("plain", False),
            table.get("charset"),
            parse_fingerprint(fingerprint) if fingerprint else None,
            tuple(table.get("password_command", ())),
            Path(table["identity"]).expanduser() if "identity" in table else None,
        )

    def _check(self, name: str, key: str, value: object) -> None:
        if key in _SECRETS:
            raise UsageError(
                f"{self.path}: [{name}] {key}: no secret belongs in this file; "
                f'`homeport login {name}:` keeps it safely, or use password_command = ["program", "argument"]'
            )
        known = _KEYS.get(key)
        if known is None:
            near = _nearest(key, _KEYS)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_KEYS)}"
            raise UsageError(f"{self.path}: [{name}] {key} is not known{hint}")
        is_right, wording = known
        if not is_right(value):
            raise UsageError(f"{self.path}: [{name}] {key} must be {wording}")


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    """The one that was meant, perhaps."""
    import difflib  # for the few who mistype

    return difflib.get_close_matches(name, list(names), 1)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_jobs(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100


def _is_command(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(word, str) for word in value)


_KEYS = {
    "url": (_is_text, "a URL in quotes"),
    "jobs": (_is_jobs, "a number from 1 to 100"),
    "plain": (lambda value: isinstance(value, bool), "true or false"),
    "charset": (_is_text, "the name of a charset in quotes"),
    "fingerprint": (_is_text, "sha256: and 64 hexadecimal digits, in quotes"),
    "identity": (_is_text, "the path of a private key in quotes"),
    "password_command": (_is_command, "a list of words: the program and its arguments"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A place on a server as the command line names it, with the profile that it came by, if any."""

    url: RemoteUrl
    profile: Profile | None = None


def resolve(text: str, profiles: Profiles) -> Target:
    """A URL or `PROFILE:PATH`. Raises UsageError."""
    parts = split_profile(text)
    if parts is None:
        return Target(parse_url(text))
    profile = profiles.get(parts[0])
    return Target(profile.place(parts[1]), profile)
