"""How a verb comes to a logged-in connection: what its words stand for, who asks for passwords and trust.

One rule: a question is asked once, on a terminal, by the main thread; whoever connects later uses the answer.
"""

from __future__ import annotations

import functools
import getpass
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from homeport.cli.terminal import printable, say
from homeport.client import secrets
from homeport.client.errors import LoginFailed, UsageError
from homeport.client.fingerprint import as_ssh_shows
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.places import config_folder
from homeport.client.profiles import Profile, Profiles
from homeport.client.secrets import account_of
from homeport.client.url import RemoteUrl, is_url, parse_url, split_profile

if TYPE_CHECKING:
    from homeport.cli.ahead import Ahead
    from homeport.cli.connection_options import How, Moving
    from homeport.client.remote import Remote
    from homeport.client.ssh.connection import SshConnection
    from homeport.client.trust import FirstContact, KnownHosts, Trust

T = TypeVar("T")

ANONYMOUS = "anonymous"
DEFAULT_JOBS = 4
_ATTEMPTS = 3
_MADE_AHEAD = ("hp",)  # by the first contact nobody is asked about a key there


class Asked(Credentials):
    """A password that is asked for when the server wants it: after its key was judged, not before."""

    def __init__(self, user: str, ask: Callable[[], str]) -> None:
        object.__setattr__(self, "user", user)
        object.__setattr__(self, "answer", functools.cache(ask))

    answer: functools._lru_cache_wrapper[str]

    @property
    def password(self) -> str:
        """The answer, asked for once."""
        return self.answer()

    @property
    def is_known(self) -> bool:
        """Whether it was asked for."""
        return self.answer.cache_info().currsize > 0


class Connector:
    """Opens the connections of one command. `dial` may be called by any thread; only the main one asks questions."""

    def __init__(self, how: How) -> None:
        self.how = how
        self._lock = threading.Lock()
        self._passwords: dict[str, str] = {}  # of logins that worked, and what was read from standard input
        self._from_stdin: str | None = None
        self._profiles: dict[str, Profile] = {}
        self._ahead: dict[str, Ahead] = {}
        self._passphrases: dict[str, str] = {}  # of key files, by their paths

    # --- what words stand for ---

    def place_of(self, text: str) -> RemoteUrl | Path:
        """A URL, a profile's place, or a path on this machine. Raises UsageError."""
        if is_url(text):
            return parse_url(text)
        parts = split_profile(text)
        if parts is None or (parts[0] not in profiles().names() and os.path.lexists(text)):
            return Path(text)
        profile = profiles().get(parts[0])
        place = profile.place(parts[1])
        self._profiles[account_of(place)] = profile
        return place

    def remote_of(self, text: str) -> RemoteUrl:
        """A place on a server. Raises UsageError that shows how one is written."""
        place = self.place_of(text)
        if isinstance(place, Path):
            raise UsageError(f"{text!r} is no place on a server; write it as ftp://NAME@HOST/PATH, or PROFILE:/PATH")
        return place

    def jobs_for(self, url: RemoteUrl, moving: Moving) -> int:
        """How many files at a time: as typed, else as the profile says, else the default."""
        profile = self._profiles.get(account_of(url))
        return moving.jobs or (profile.jobs if profile is not None else None) or DEFAULT_JOBS

    # --- connections ---

    def dial(self, url: RemoteUrl, *, fresh: bool = False, much: bool = False) -> Remote:
        """A connection to the server of `url`, logged in; a `fresh` one uses no kept password, one for `much` may take
        measures. Raises ClientError.
        """
        options = self.options_for(url, fresh=fresh, much=much)
        return self._log_in(url, lambda credentials: self._open(url, credentials, options), fresh=fresh)

    def begin(self, url: RemoteUrl) -> None:
        """Make the first connection of `dialer` from now on, where that pays and nobody has to be asked."""
        if url.scheme in _MADE_AHEAD and self._known_password(url, self.user_of(url), fresh=False) is not None:
            from homeport.cli.ahead import Ahead

            self._ahead[account_of(url)] = Ahead(lambda: self.dial(url, much=True))

    def dial_ssh(self, url: RemoteUrl) -> SshConnection:
        """The same for what is not about files. Raises ClientError."""
        from homeport.client.ssh.connection import connect

        return self._log_in(
            url, lambda credentials: connect(url, credentials, self.trust_for(url), self.options_for(url))
        )

    def _log_in(self, url: RemoteUrl, open_with: Callable[[Credentials], T], *, fresh: bool = False) -> T:
        user = self.user_of(url)
        known = self._known_password(url, user, fresh=fresh)
        attempts = _ATTEMPTS if known is None else 1
        for attempt in range(1, attempts + 1):
            credentials = Asked(user, lambda: _ask_password(url, user)) if known is None else Credentials(user, known)
            try:
                opened = open_with(credentials)
            except LoginFailed as failure:
                if attempt == attempts:
                    raise _with_advice(failure, user, url.scheme) from failure
                say(printable(str(failure)))
                continue
            if credentials.is_known:  # a key may have been enough
                with self._lock:
                    self._passwords[account_of(url)] = credentials.password
            return opened
        raise AssertionError("the last attempt returns or raises")

    def dialer(self, url: RemoteUrl) -> Callable[[], Remote]:
        """`dial` for a server, as the transfer engine wants it."""

        def dial() -> Remote:
            ahead = self._ahead.pop(account_of(url), None)
            return self.dial(url, much=True) if ahead is None else ahead.take()

        return dial

    def user_of(self, url: RemoteUrl) -> str:
        """Who logs in: whom the URL names, else nobody in particular; by SSH, who works here."""
        if url.user is not None:
            return url.user
        return getpass.getuser() if url.scheme == "sftp" else ANONYMOUS

    def password_of(self, url: RemoteUrl) -> str:
        """The password with which `dial` has logged in."""
        return self._passwords[account_of(url)]

    def _open(self, url: RemoteUrl, credentials: Credentials, options: ConnectionOptions) -> Remote:
        from homeport.client import dial

        return dial.open_remote(url, credentials, self.trust_for(url), options)

    def options_for(self, url: RemoteUrl, *, fresh: bool = False, much: bool = False) -> ConnectionOptions:
        """How to connect to the server of `url`; a `fresh` login is by password alone."""
        profile = self._profiles.get(account_of(url))
        charset = self.how.charset or (profile.charset if profile is not None else None) or "utf-8"
        return ConnectionOptions(
            plain=self.how.plain or (profile is not None and profile.plain),
            charset=charset,
            connect_timeout_s=min(20.0, self.how.timeout_s),
            stall_timeout_s=self.how.timeout_s,
            keys=not fresh,
            identity=self.how.identity or (profile.identity if profile is not None else None),
            ask_passphrase=self._ask_passphrase,
            much=much,
        )

    def trust_for(self, url: RemoteUrl) -> Trust:
        """How keys are judged: --fingerprint before the profile's, and both before what is remembered."""
        from homeport.client.fingerprint import parse_fingerprint
        from homeport.client.trust import Trust

        profile = self._profiles.get(account_of(url))
        pinned = None if self.how.fingerprint is None else parse_fingerprint(self.how.fingerprint)
        if pinned is None and profile is not None:
            pinned = profile.fingerprint
        return Trust(known_hosts(), pinned, _ask if can_ask() else None)

    # --- passwords ---

    def _ask_passphrase(self, path: str) -> str:
        """The passphrase of a key's file, asked for once. Raises UsageError where nobody can be asked."""
        if path not in self._passphrases:
            if not can_ask():
                raise UsageError(
                    f"{path} has a passphrase, and there is no terminal to ask for it; use an agent (ssh-add {path})"
                )
            prompt = f"Passphrase of {printable(path)}"
            self._passphrases[path] = click.prompt(prompt, hide_input=True, err=True, default="", show_default=False)
        return self._passphrases[path]

    def _known_password(self, url: RemoteUrl, user: str, *, fresh: bool) -> str | None:
        """The password for which nobody must be asked."""
        with self._lock:
            found = self._passwords.get(account_of(url))
            if found is None:
                found = self._find_password(url, user, None if fresh else secret_store())
        return found

    def _find_password(self, url: RemoteUrl, user: str, store: secrets.SecretStore | None) -> str | None:
        if self.how.password_stdin:
            if self._from_stdin is None:
                sources = secrets.Sources(stdin=sys.stdin, environment={})
                self._from_stdin = secrets.find_password(url, sources)
            return self._from_stdin
        profile = self._profiles.get(account_of(url))
        command = () if profile is None else profile.password_command
        if user == ANONYMOUS and not command:
            return "homeport@"  # RFC 1635: any string that looks like an address
        return secrets.find_password(url, secrets.Sources(environment=os.environ, command=command, store=store))


@contextmanager
def connected(connector: Connector, url: RemoteUrl) -> Iterator[Remote]:
    """One connection for one command."""
    remote = connector.dial(url)
    try:
        yield remote
    finally:
        remote.close()


def known_hosts() -> KnownHosts:
    """This person's trusted keys."""
    from homeport.client.trust import KnownHosts

    return KnownHosts(config_folder() / "known_hosts.toml")


def secret_store() -> secrets.SecretStore:
    """This person's passwords, as `login` keeps them."""
    return secrets.SecretStore(config_folder() / "secrets.toml")


def profiles() -> Profiles:
    """This person's short names for servers."""
    return Profiles(config_folder() / "profiles.toml")


def can_ask() -> bool:
    """Whether a person sits at a terminal and the thread is the one that may ask."""
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    return is_terminal and threading.current_thread() is threading.main_thread()


def show_contact(contact: FirstContact, before: str | None = None) -> None:
    """Show a key that is not trusted yet, and the one that was trusted `before`."""
    if before is None:
        say(f"{printable(contact.server)} is not known yet. It shows this key:")
    else:
        say(f"{printable(contact.server)} was trusted with this key:")
        say(f"  {before}")
        say("Now it shows this one:")
    say(f"  {contact.fingerprint}")
    if contact.expires:
        say(f"  its certificate ends on {printable(contact.expires)}")
    else:  # an SSH key, which other programs show like this
        say(f"  {as_ssh_shows(contact.fingerprint)}")
    say("A Homeport server prints its key when it starts; its administrator can read it out to you.")


def _ask(contact: FirstContact) -> bool:
    show_contact(contact)
    return click.confirm("Is this the right key, to be trusted from now on?", default=False, err=True)


def _ask_password(url: RemoteUrl, user: str) -> str:
    """Ask, once the server is there and its key was judged. Raises UsageError where nobody can be asked."""
    if not can_ask():
        raise UsageError(
            f"there is no terminal to ask for the password of {user}; "
            f"use --password-stdin, ${secrets.VARIABLE} or `homeport login {account_of(url)}`"
        )
    prompt = f"Password of {printable(user)} at {printable(url.host)}"
    answer: str = click.prompt(prompt, hide_input=True, err=True, default="", show_default=False)
    return answer


def _with_advice(failure: LoginFailed, user: str, scheme: str) -> LoginFailed:
    if user != ANONYMOUS:
        return failure
    sentence = f"{str(failure).rstrip('.')}; the URL names nobody, write it as {scheme}://NAME@HOST/"
    return LoginFailed(sentence, failure.code, failure.reply)
