"""Why a command is refused before anybody acts on it: the rows' conditions as questions to the session.

The one rule: the order of the questions is the order in which the RFCs let a client find its mistakes, from "no such
command" to "not with these transfer parameters".
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


def check_access(session: Session, command: Command) -> None:
    """Whether the session may give this command at all now. Raises Refusal: 502, 503, 522, 530, 550."""
    if command.refusal is not None:
        raise Refusal(*command.refusal)
    if not OFFERS[command.offer](session.policy):
        raise Refusal(502, "Not offered by this server.")
    needs_tls = session.policy.tls_required and not session.tls
    if command.secret and needs_tls:
        raise Refusal(530, "This server takes no login in the clear: send AUTH TLS first.")
    if command.access is Access.LOGGED_IN and session.phase is not Phase.LOGGED_IN:
        raise Refusal(530, "Log in first: AUTH TLS, then USER and PASS." if needs_tls else "Log in with USER and PASS.")
    for prior in command.priors:
        holds, code, text = PRIORS[prior]
        if not holds(session):
            raise Refusal(code, text)


def check_use(session: Session, command: Command, argument: Parsed) -> None:
    """Whether it may be done with this argument and these transfer parameters. Raises Refusal: 522, 553."""
    if command.creates and any(char in names_in(argument) for char in "\r\n\0"):
        raise Refusal(553, "A name cannot hold a line end or NUL.")
    if command.data and session.policy.private_data_required and session.settings.protection is Protection.CLEAR:
        raise Refusal(522, "Data connections must be private here: send PBSZ 0 and PROT P first.")
