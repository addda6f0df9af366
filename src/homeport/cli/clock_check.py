"""A warning when this machine's clock and the server's are apart. One rule: it costs a transfer nothing: the server is
asked beside it, and an answer that has not come by the end is not waited for.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from homeport.cli.terminal import printable, say
from homeport.client.errors import ClientError

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.url import RemoteUrl

WORTH_SAYING_S = 2.0


class ClockCheck:
    """Asks the server of `url` what time it is, if its protocol can tell; only HPTP's can."""

    def __init__(self, connector: Connector, url: RemoteUrl) -> None:
        self._connector = connector
        self._url = url
        self._sentence: str | None = None
        if url.scheme == "hp":
            threading.Thread(target=self._ask, name="clock", daemon=True).start()

    def report(self) -> None:
        """Say what was found out by now, if it is worth it."""
        if self._sentence is not None:
            say(self._sentence)

    def _ask(self) -> None:
        from homeport.client.hptp.remote import HptpRemote

        try:
            remote = self._connector.dial(self._url)
            if not isinstance(remote, HptpRemote):
                return
            try:
                sent, told = time.time(), remote.ask("compare the clocks", "time").get("now_ms")
                came = time.time()
            finally:
                remote.close()
        except ClientError:  # an older server, or one that has gone: the transfer itself says so
            return
        if isinstance(told, int):
            self._sentence = sentence(self._url.host, told / 1000 - (sent + came) / 2, (came - sent) / 2)


def sentence(host: str, ahead_s: float, error_s: float) -> str | None:
    """What to say of a server's clock that is so far ahead of ours, give or take an error; None if nothing."""
    if abs(ahead_s) - error_s <= WORTH_SAYING_S:
        return None
    direction = "behind" if ahead_s > 0 else "ahead of"
    return (
        f"this machine's clock is {abs(ahead_s):.0f} s {direction} that of {printable(host)}; files' times may be off "
        f"(`homeport time --offset {printable(host)}` measures it)"
    )
