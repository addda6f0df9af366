"""Why a command is refused before anybody acts on it: the rows' conditions as questions to the session.

The one rule: the order of the questions is the order in which the RFCs let a client find its mistakes, from "no such
command" to "not with these transfer parameters". What a row says is resolved once, when the gate is made, for every
command of every client passes here.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport.protocols.ftp.arguments import Parsed, names_in
from homeport.protocols.ftp.commands import Access, Command, Offer, Prior
from homeport.protocols.ftp.policy import Policy
from homeport.protocols.ftp.replies import Refusal
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import Protection, Representation
from homeport.protocols.ftp.state import Phase

OFFERS: dict[Offer, Callable[[Policy], bool]] = {
    Offer.ALWAYS: lambda _: True,
    Offer.TLS: lambda policy: policy.tls_offered,
    Offer.ACTIVE: lambda policy: policy.active,
    Offer.MODE_Z: lambda policy: policy.mode_z,
}

# condition -> (whether it holds, the refusal when it does not)
PRIORS: dict[Prior, tuple[Callable[[Session], bool], int, str]] = {
    Prior.USER: (lambda s: s.phase is Phase.NAMED, 503, "Send USER first."),
    Prior.STRANGER: (lambda s: s.phase is Phase.STRANGER, 503, "HOST comes before USER."),
    Prior.NO_TLS: (lambda s: not s.tls, 503, "TLS is on already."),
    Prior.TLS: (lambda s: s.tls, 503, "Send AUTH TLS first."),
    Prior.PBSZ: (lambda s: s.settings.pbsz_done, 503, "Send PBSZ 0 first."),
    Prior.RENAME: (lambda s: s.settings.rename_from is not None, 503, "Send RNFR right before."),
    Prior.COPY: (lambda s: s.settings.copy_from is not None, 503, "Send SITE CPFR right before."),
    Prior.IMAGE: (
        lambda s: s.settings.representation is not Representation.ASCII,
        550,
        "The size in TYPE A is not known before the transfer; send TYPE I first.",
    ),
    Prior.IPV4: (lambda s: not s.ipv6, 522, "PASV is for IPv4; send EPSV, use (2)."),
    Prior.NO_EPSV_ALL: (lambda s: not s.settings.epsv_all, 503, "After EPSV ALL only EPSV is taken."),
    Prior.NO_RANGE: (
        lambda s: s.settings.byte_range is None,
        501,
        "RANG is for RETR and HASH; REST alone goes before an upload.",
    ),
}

# Reading a member from its class takes as long as all the rest of a gate.
_LOGGED_IN = Phase.LOGGED_IN
_CLEAR = Protection.CLEAR


class Gate:
    """What one row asks of the session before its command is carried out.

    `limits_use`: whether `check_use` asks anything. `members_pass`: whether `check_access` asks nothing of whoever is
    logged in, as with most commands.
    """

    __slots__ = (
        "_creates", "_data", "_for_members", "_offered", "_priors", "_refusal", "_secret", "limits_use", "members_pass",
    )  # fmt: skip

    def __init__(self, command: Command) -> None:
        self._refusal = command.refusal
        self._offered = None if command.offer is Offer.ALWAYS else OFFERS[command.offer]
        self._secret = command.secret
        self._for_members = command.access is Access.LOGGED_IN
        self._priors = tuple(PRIORS[prior] for prior in command.priors)
        self._creates = command.creates
        self._data = command.data
        self.limits_use = command.creates or command.data
        self.members_pass = not (self._refusal or self._offered or self._secret or self._priors)

    def check_access(self, session: Session) -> None:
        """Whether the session may give this command at all now. Raises Refusal: 502, 503, 522, 530, 550."""
        if self._refusal is not None:
            raise Refusal(*self._refusal)
        if self._offered is not None and not self._offered(session.policy):
            raise Refusal(502, "Not offered by this server.")
        if self._secret and _needs_tls(session):
            raise Refusal(530, "This server takes no login in the clear: send AUTH TLS first.")
        if self._for_members and session.phase is not _LOGGED_IN:
            way = "Log in first: AUTH TLS, then USER and PASS." if _needs_tls(session) else "Log in with USER and PASS."
            raise Refusal(530, way)
        for holds, code, text in self._priors:
            if not holds(session):
                raise Refusal(code, text)

    def check_use(self, session: Session, argument: Parsed) -> None:
        """Whether it may be done with this argument and these transfer parameters. Raises Refusal: 522, 553."""
        if self._creates:
            names = names_in(argument)
            if "\n" in names or "\r" in names or "\0" in names:
                raise Refusal(553, "A name cannot hold a line end or NUL.")
        if self._data and session.settings.protection is _CLEAR and session.needs_private_data:
            raise Refusal(522, "Data connections must be private here: send PBSZ 0 and PROT P first.")


def _needs_tls(session: Session) -> bool:
    return session.policy.tls_required and not session.tls
