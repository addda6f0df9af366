"""From a URL to a logged-in Remote. A new protocol is one row of the table.

The one rule: what comes out is logged in, or nothing stays open.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport.client.errors import Incompatible
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.remote import Remote
from homeport.client.trust import Trust
from homeport.client.url import RemoteUrl

Dial = Callable[[], Remote]


def _open_ftp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Remote:
    from homeport.client.ftp.control import Control
    from homeport.client.ftp.remote import FtpRemote

    control = Control(url, trust, options)
    try:
        control.connect()
        control.log_in(credentials)
    except BaseException:
        control.close()
        raise
    return FtpRemote(control)


def _open_sftp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Remote:
    from homeport.client.ssh.opening import open_sftp  # asyncssh takes its time to load

    return open_sftp(url, credentials, trust, options)


def _open_hptp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Remote:
    from homeport.client.hptp.opening import open_hptp

    return open_hptp(url, credentials, trust, options)


_OPENERS: dict[str, Callable[[RemoteUrl, Credentials, Trust, ConnectionOptions], Remote]] = {
    "ftp": _open_ftp,
    "ftps": _open_ftp,
    "sftp": _open_sftp,
    "hp": _open_hptp,
}


def open_remote(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Remote:
    """Connect and log in. Raises ConnectionFailed, TlsRefused, IdentityUnknown, IdentityChanged, LoginFailed."""
    opener = _OPENERS.get(url.scheme)
    if opener is None:
        known = ", ".join(f"{scheme}://" for scheme in _OPENERS)
        raise Incompatible(f"this version does not speak {url.scheme}:// yet; it speaks {known}")
    return opener(url, credentials, trust, options)


def dialler(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> Dial:
    """What the engine calls for each connection that it opens."""
    return lambda: open_remote(url, credentials, trust, options)
