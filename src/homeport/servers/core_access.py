"""What every server is given of the core, whatever its protocol.

The one rule: a server has no other way to accounts, sessions and homes than this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeport.core.accounts import Account
from homeport.core.audit_events import Event
from homeport.core.home import Home
from homeport.core.key_login import KeyLogin
from homeport.core.login import Login
from homeport.core.proof_login import ProofLogin
from homeport.core.sessions import SessionRecord, Sessions
from homeport.servers.chat_access import ChatAccess
from homeport.servers.offload import Offload
from homeport.servers.rates import AccountRates


def _forget(_: Event) -> None:
    """No audit log."""


@dataclass(frozen=True, slots=True)
class CoreAccess:
    """The rules of the house, as far as servers meet them; one for all servers of a worker.

    `files`, `listings` and `logins` are threads: neither a queue of password checks nor folders of a million names may
    hold up transfers. `audit` notes an event, at once and whatever happens. `rates` are shared by all protocols.
    """

    login: Login
    sessions: Sessions
    open_home: Callable[[Account, SessionRecord], Home]
    files: Offload
    listings: Offload
    logins: Offload
    audit: Callable[[Event], None] = _forget
    rates: AccountRates = field(default_factory=AccountRates)
    keys: KeyLogin | None = None
    proofs: ProofLogin | None = None
    chat: ChatAccess | None = None
