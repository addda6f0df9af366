"""From a URL to a logged-in SftpRemote. The one rule: what comes out is ready, or nothing stays open."""

from __future__ import annotations

from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.ssh.connection import connect
from homeport.client.ssh.link import Link
from homeport.client.ssh.remote import SftpRemote
from homeport.client.trust import Trust
from homeport.client.url import RemoteUrl


def open_sftp(url: RemoteUrl, credentials: Credentials, trust: Trust, options: ConnectionOptions) -> SftpRemote:
    """Connect, log in, start SFTP. Raises what `connect` raises."""
    connection = connect(url, credentials, trust, options)
    try:
        link = Link(connection, options.charset)
        link.open()
        return SftpRemote(link)
    except BaseException:
        connection.close()
        raise
