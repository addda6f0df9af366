"""An SSH connection, from the socket to the login.

The one rule: nothing secret goes out before the server's key was judged by `trust`; neither ~/.ssh/config nor
~/.ssh/known_hosts has a say in that.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

import asyncssh

from homeport import __version__
from homeport.client import tls
from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    Incompatible,
    LoginFailed,
    ProtocolViolation,
    Stalled,
)
from homeport.client.fingerprint import PREFIX
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.ssh import algorithms
from homeport.client.ssh.keys import Identities
from homeport.client.ssh.loop import Driver
from homeport.client.trust import FirstContact, Trust
from homeport.client.url import RemoteUrl

T = TypeVar("T")

OURS = "SSH-2.0-Homeport"
_NOBODY: tuple[list[str], list[str], list[str]] = ([], [], [])  # no key is known to asyncssh: `validate` is asked


class SshConnection:
    """A connection that has logged in. Used by one thread at a time; `interrupt` may come from another."""

    def __init__(self, driver: Driver, connection: asyncssh.SSHClientConnection, caller: _Caller) -> None:
        self.driver = driver
        self.asyncssh = connection
        self._caller = caller

    @property
    def version(self) -> str:
        """How the server calls itself."""
        return str(self.asyncssh.get_extra_info("server_version", ""))

    @property
    def is_ours(self) -> bool:
        """Whether it is a Homeport server."""
        return self.version.startswith(OURS)

    @property
    def is_open(self) -> bool:
        return not self._caller.is_lost and not self.driver.is_closed

    def why_lost(self) -> str:
        """Why the connection is gone, in the server's words where it gave any."""
        return self._caller.reason

    def interrupt(self) -> None:
        """From another thread: whatever is waited for fails now."""
        self.driver.interrupt()

    def close(self) -> None:
        """Say goodbye and wait for nothing."""
        if not self.driver.is_closed:
            with self.driver.inside():
                self.asyncssh.abort()
            self.driver.close()


class _Caller(asyncssh.SSHClient):
    """What asyncssh asks and tells while a connection is made. `expected` is the only key that will do, if any."""

    def __init__(self, dialling: _Dialling, expected: str | None) -> None:
        self._dialling = dialling
        self._expected = expected
        self._has_given_password = False
        self._has_offered_keys = False
        self.shown: asyncssh.SSHKey | None = None
        self.is_lost = False
        self.reason = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Whether this is the key that is expected; without one it is judged after this connection has ended."""
        self.shown = key
        return self._expected is not None and fingerprint_of(key) == self._expected

    async def public_key_auth_requested(self) -> Sequence[asyncssh.SSHKeyPair] | None:
        """The keys, once."""
        if self._has_offered_keys:
            return None
        self._has_offered_keys = True
        return await self._dialling.keys() or None

    def password_auth_requested(self) -> str | None:
        """The password, once: a wrong one does not get better."""
        if self._has_given_password:
            return None
        self._has_given_password = True
        return self._dialling.password()

    def kbdint_auth_requested(self) -> str | None:
        """Whether questions may be put to the person: only the one for the password is understood."""
        return None if self._has_given_password else ""

    def kbdint_challenge_received(
        self,
        name: str,  # noqa: ARG002 - what the server would have a person read
        instructions: str,  # noqa: ARG002
        lang: str,  # noqa: ARG002
        prompts: Sequence[tuple[str, bool]],
    ) -> Sequence[str] | None:
        """One question without an echo is the one for the password."""
        if not prompts:
            return []
        if len(prompts) > 1 or prompts[0][1]:
            return None
        password = self.password_auth_requested()
        return None if password is None else [password]

    def connection_lost(self, exc: Exception | None) -> None:
        """However it ended."""
        self.is_lost = True
        self.reason = "" if exc is None else _words(exc)
        self._dialling.driver.wake()


class _Dialling:
    """One call of `connect`, which may take several connections."""

    def __init__(self, url: RemoteUrl, credentials: Credentials, options: ConnectionOptions, driver: Driver) -> None:
        self.url = url
        self.driver = driver
        self.failure: ClientError | None = None
        self._credentials = credentials
        self._options = options
        self._identities = Identities(options)
        self._limit: asyncio.Timeout | None = None

    def attempt(self, expected: str | None, host_keys: Sequence[str]) -> tuple[asyncssh.SSHClientConnection, _Caller]:
        """One connection. Raises `_OtherKey`, and what everything else means."""
        caller = _Caller(self, expected)
        connected = self._connect_socket()
        try:
            return self.driver.complete(self._log_in(connected, caller, host_keys)), caller
        except BaseException as failure:
            connected.close()
            raise self._meaning(failure, caller) from failure
        finally:
            self._identities.close()

    def _connect_socket(self) -> socket.socket:
        host, port = self.url.host, self.url.port
        try:
            connected = socket.create_connection((host, port), self._options.connect_timeout_s)
        except OSError as failure:
            raise ConnectionFailed(f"cannot connect to {host} port {port}: {tls.reason(failure)}") from failure
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    async def _log_in(
        self, connected: socket.socket, caller: _Caller, host_keys: Sequence[str]
    ) -> asyncssh.SSHClientConnection:
        async with asyncio.timeout(self._options.connect_timeout_s) as self._limit:
            return await asyncssh.connect(
                self.url.host,
                self.url.port,
                sock=connected,
                config=None,
                client_factory=lambda: caller,
                client_version=f"Homeport_{__version__}",
                username=self._credentials.user,
                known_hosts=_NOBODY,
                server_host_key_algs=list(host_keys),
                x509_trusted_certs=None,
                client_keys=None,
                preferred_auth=["publickey", "password", "keyboard-interactive"],
                kex_algs=algorithms.key_exchanges(),
                encryption_algs=list(algorithms.CIPHERS),
                mac_algs=list(algorithms.MACS),
                signature_algs=list(algorithms.SIGNATURES),
                compression_algs=None,
                gss_kex=False,
                gss_auth=False,
                agent_forwarding=False,
                login_timeout=0,  # a person may think about the password as long as it takes
                keepalive_interval=0,
            )

    async def keys(self) -> Sequence[asyncssh.SSHKeyPair]:
        try:
            return await self._identities.find()
        except ClientError as failure:
            self.failure = failure
            return []

    def password(self) -> str | None:
        """Asks the person where it has to; only then is a missing answer an error of its own."""
        if self.failure is not None:
            return None
        try:
            return self._credentials.password
        except ClientError as failure:
            self.failure = failure
            return None
        finally:
            if self._limit is not None:
                self._limit.reschedule(self.driver.loop.time() + self._options.connect_timeout_s)

    def _meaning(self, failure: BaseException, caller: _Caller) -> BaseException:
        if isinstance(failure, asyncssh.HostKeyNotVerifiable) and caller.shown is not None:
            return _OtherKey(caller.shown)
        if self.failure is not None and isinstance(failure, asyncssh.Error):
            return self.failure
        host, port = self.url.host, self.url.port
        for kind, meaning, sentence in _MEANINGS:
            if isinstance(failure, kind):
                text = _words(failure)
                return meaning(sentence.format(host=host, port=port, user=self._credentials.user, text=text))
        return failure


class _OtherKey(Exception):
    """The server has shown a key that is not the expected one, or the first one that is seen of it."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self.key = key


_MEANINGS: tuple[tuple[type[BaseException], Callable[[str], ClientError], str], ...] = (
    (TimeoutError, Stalled, "{host} port {port} speaks no SSH, or not within the time; is it the right port?"),
    (
        asyncssh.PermissionDenied,
        LoginFailed,
        "login of {user} failed: the server accepts no key and no password that it was offered",
    ),
    (
        asyncssh.KeyExchangeFailed,
        Incompatible,
        "{host} offers nothing that is safe and known here: {text}",
    ),
    (asyncssh.ProtocolNotSupported, Incompatible, "{host} speaks no SSH that is known here: {text}"),
    (asyncssh.HostKeyNotVerifiable, ProtocolViolation, "{host} shows a key that cannot be read: {text}"),
    (asyncssh.ConnectionLost, ConnectionFailed, "{host} closed the connection: {text}"),
    (asyncssh.ProtocolError, ProtocolViolation, "{host} breaks the SSH protocol: {text}"),
    (asyncssh.MACError, ProtocolViolation, "{host} sent bytes that were changed on the way: {text}"),
    (asyncssh.DisconnectError, ConnectionFailed, "{host} ended the connection: {text}"),
    (OSError, ConnectionFailed, "the connection to {host} broke: {text}"),
)


def connect(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> SshConnection:
    """Connect, judge the server's key, log in. Raises ConnectionFailed, LoginFailed, IdentityChanged,
    IdentityUnknown, Incompatible, ProtocolViolation.
    """
    driver = Driver(url.host, options.stall_timeout_s)
    try:
        dialling = _Dialling(url, credentials, options, driver)
        connection, caller = _connect(dialling, trust)
    except BaseException:
        driver.close()
        raise
    return SshConnection(driver, connection, caller)


def _connect(dialling: _Dialling, trust: Trust) -> tuple[asyncssh.SSHClientConnection, _Caller]:
    server = dialling.url.server
    expected = trust.expected(server)
    every = [name for family in algorithms.HOST_KEYS for name in family]
    try:
        return dialling.attempt(expected, every)
    except _OtherKey as other:
        shown = other.key
    if expected is not None:
        found = _with_other_type(dialling, expected, shown)
        if found is not None:
            return found
    trust.judge(FirstContact(server, fingerprint_of(shown), ""))
    return dialling.attempt(fingerprint_of(shown), every)


def _with_other_type(
    dialling: _Dialling, expected: str, shown: asyncssh.SSHKey
) -> tuple[asyncssh.SSHClientConnection, _Caller] | None:
    """The server may have keys of several types, and the trusted one be another than the one that it prefers now."""
    shown_type = shown.get_algorithm().removeprefix("ssh-")
    for family in algorithms.HOST_KEYS:
        if any(shown_type in name for name in family):
            continue
        try:
            return dialling.attempt(expected, family)
        except (_OtherKey, Incompatible, ConnectionFailed):  # it has no key of that type
            continue
    return None


def fingerprint_of(key: asyncssh.SSHKey) -> str:
    """`sha256:` and the hex digest of a public key as SSH sends it; `ssh-keygen -l` shows the same in base64."""
    return PREFIX + hashlib.sha256(key.public_data).hexdigest()


def _words(failure: BaseException) -> str:
    """A failure's own words, without the beginning that asyncssh puts before them."""
    text = getattr(failure, "reason", "") or str(failure) or type(failure).__name__
    return re.sub(r"\s+", " ", str(text)).strip()
