"""How a verb comes to a logged-in connection: who asks for names, passwords and trust, and what is remembered.

One rule: a question is asked once, on a terminal, by the main thread; whoever connects later uses the answer.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from homeport.cli.terminal import printable, say
from homeport.cli.user_folders import config_folder
from homeport.client.errors import LoginFailed, UsageError
from homeport.client.options import Credentials

if TYPE_CHECKING:
    from homeport.cli.connection_options import How
    from homeport.client.remote import Remote
    from homeport.client.trust import FirstContact, KnownHosts, Trust
    from homeport.client.url import RemoteUrl

PASSWORD_VARIABLE = "HOMEPORT_PASSWORD"  # noqa: S105 - the name of a variable
ANONYMOUS = "anonymous"
_ATTEMPTS = 3


class Asked(Credentials):
    """A password that is asked for when the server wants it: after its key was judged, not before."""

    def __init__(self, user: str, ask: Callable[[], str]) -> None:
        object.__setattr__(self, "user", user)
        object.__setattr__(self, "answer", functools.cache(ask))

    answer: Callable[[], str]

    @property
    def password(self) -> str:
        """The answer, asked for once."""
        return self.answer()


class Connector:
    """Opens the connections of one command. `dial` may be called by any thread; only the main one asks questions."""

    def __init__(self, how: How) -> None:
        self.how = how
        self._lock = threading.Lock()
        self._passwords: dict[tuple[str, str], str] = {}  # of logins that worked, by server and user
        self._from_stdin: str | None = None

    def dial(self, url: RemoteUrl) -> Remote:
        """A connection to the server of `url`, logged in. Raises ClientError."""
        user = self.user_of(url)
        with self._lock:
            known = self._passwords.get((url.server, user))
        if known is None:
            known = self._known_password(url, user)
        attempts = _ATTEMPTS if known is None else 1
        for attempt in range(1, attempts + 1):
            credentials = (
                Asked(user, lambda: self._ask_password(url, user)) if known is None else Credentials(user, known)
            )
            try:
                remote = self._open(url, credentials)
            except LoginFailed as failure:
                if attempt == attempts:
                    raise _with_advice(failure, user) from failure
                say(printable(str(failure)))
                continue
            with self._lock:
                self._passwords[url.server, user] = credentials.password
            return remote
        raise AssertionError("the last attempt returns or raises")

    def dialer(self, url: RemoteUrl) -> Callable[[], Remote]:
        """`dial` for a server, as the transfer engine wants it."""
        return lambda: self.dial(url)

    def user_of(self, url: RemoteUrl) -> str:
        """Who logs in: whom the URL names, else whom `login` saved, else nobody in particular."""
        if url.user is not None:
            return url.user
        return _saved_user(url) or ANONYMOUS

    def trust(self) -> Trust:
        """How keys are judged."""
        from homeport.client.fingerprint import parse_fingerprint
        from homeport.client.trust import Trust

        pinned = None if self.how.fingerprint is None else parse_fingerprint(self.how.fingerprint)
        return Trust(known_hosts(), pinned, _ask if can_ask() else None)

    def _open(self, url: RemoteUrl, credentials: Credentials) -> Remote:
        from homeport.client import dial
        from homeport.client.options import ConnectionOptions

        options = ConnectionOptions(
            plain=self.how.plain,
            charset=self.how.charset,
            connect_timeout_s=min(20.0, self.how.timeout_s),
            stall_timeout_s=self.how.timeout_s,
        )
        return dial.open_remote(url, credentials, self.trust(), options)

    def _known_password(self, url: RemoteUrl, user: str) -> str | None:
        """The password for which nobody must be asked. Raises UsageError when there is none, and nobody to ask."""
        given = self._given_password()
        if given is None:
            given = _saved_password(url, user)
        if given is None and user == ANONYMOUS:
            return "homeport@"  # RFC 1635: any string that looks like an address
        if given is None and not can_ask():
            raise UsageError(
                f"there is no terminal to ask for the password of {user}; "
                f"use --password-stdin, ${PASSWORD_VARIABLE} or `homeport login {url.with_path('/')}`"
            )
        return given

    def _ask_password(self, url: RemoteUrl, user: str) -> str:
        prompt = f"Password of {printable(user)} at {printable(url.host)}"
        answer: str = click.prompt(prompt, hide_input=True, err=True, default="", show_default=False)
        return answer

    def _given_password(self) -> str | None:
        if not self.how.password_stdin:
            return os.environ.get(PASSWORD_VARIABLE)
        with self._lock:
            if self._from_stdin is None:
                self._from_stdin = sys.stdin.readline().rstrip("\r\n")
            return self._from_stdin


@contextmanager
def connected(how: How, url: RemoteUrl) -> Iterator[Remote]:
    """One connection for one command."""
    remote = Connector(how).dial(url)
    try:
        yield remote
    finally:
        remote.close()


def known_hosts() -> KnownHosts:
    """This person's trusted keys."""
    from homeport.client.trust import KnownHosts

    return KnownHosts(config_folder() / "known_hosts.toml")


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
    say(f"  its certificate ends on {printable(contact.expires)}")
    say("A Homeport server prints its key when it starts; its administrator can read it out to you.")


def _ask(contact: FirstContact) -> bool:
    show_contact(contact)
    return click.confirm("Is this the right key, to be trusted from now on?", default=False, err=True)


def _with_advice(failure: LoginFailed, user: str) -> LoginFailed:
    if user != ANONYMOUS:
        return failure
    sentence = f"{failure}; the URL names nobody, write it as ftp://NAME@HOST/"
    return LoginFailed(sentence, failure.code, failure.reply)


def _saved_user(_url: RemoteUrl) -> str | None:
    return None


def _saved_password(_url: RemoteUrl, _user: str) -> str | None:
    return None
