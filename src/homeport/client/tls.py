"""TLS as a client that would rather stop than be tricked: 1.2 and newer, the certificate judged before any secret.

A certificate that a public authority vouches for passes. Any other is judged by its key's fingerprint, see `trust`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeport.client.errors import ConnectionFailed, IdentityChanged, ProtocolViolation
from homeport.client.fingerprint import expiry_of, fingerprint_of
from homeport.client.trust import FirstContact, Trust

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})  # OpenSSL's names for bytes that are no record


class NotVouchedFor(Exception):
    """No authority vouches for the certificate: connect again with `by_key` set, and judge the key."""


class _ClosesItself(ssl.SSLSocket):
    """Python takes a descriptor over before it finds the connection reset by the peer, and then leaves it open."""

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError:
            self.close()
            raise


def context(*, by_key: bool) -> ssl.SSLContext:
    """A client context. With `by_key` the authorities are not asked, because the key itself will be compared."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = _ClosesItself
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if by_key:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_default_certs()
    return made


@dataclass(frozen=True, slots=True)
class Secured:
    """A connection after its handshake, with the key that the server showed."""

    socket: ssl.SSLSocket
    fingerprint: str


def secure(plain: socket.socket, using: ssl.SSLContext, server: str, host: str, trust: Trust) -> Secured:
    """Shake hands and judge. Raises NotVouchedFor, ConnectionFailed, IdentityChanged, IdentityUnknown."""
    secured = shake_hands(plain, using, host, None)
    try:
        certificate = secured.getpeercert(binary_form=True) or b""
        fingerprint = fingerprint_of(certificate)
        if using.verify_mode == ssl.CERT_NONE:
            trust.judge(FirstContact(server, fingerprint, expiry_of(certificate)))
    except BaseException:
        secured.close()
        raise
    return Secured(secured, fingerprint)


def shake_hands(
    plain: socket.socket,
    using: ssl.SSLContext,
    host: str,
    session: ssl.SSLSession | None,
    meanwhile: Callable[[], None] = lambda: None,
) -> ssl.SSLSocket:
    """TLS on `plain`, which is closed when that fails. `session` is resumed where the server agrees.

    `meanwhile` is called once our first words are out, while those of the server travel; what it raises goes through.
    """
    secured: ssl.SSLSocket | None = None
    try:
        # A missing close_notify must raise: without it a cut download would look whole.
        secured = using.wrap_socket(
            plain,
            server_hostname=host,
            session=session,
            suppress_ragged_eofs=False,
            do_handshake_on_connect=False,
        )
        _begin(secured)
        meanwhile()
        secured.do_handshake()
        return secured
    except BaseException as failure:
        (secured or plain).close()
        if isinstance(failure, ssl.SSLCertVerificationError):
            raise NotVouchedFor(failure.verify_message) from failure
        if isinstance(failure, OSError | ValueError):
            raise ConnectionFailed(f"{host}: the TLS handshake failed: {reason(failure)}{_hint(failure)}") from failure
        raise


def _begin(secured: ssl.SSLSocket) -> None:
    """Send our first words and do not wait for those of the server."""
    timeout = secured.gettimeout()
    secured.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    secured.settimeout(timeout)


def same_server(data: ssl.SSLSocket, control_fingerprint: str) -> None:
    """A data connection must show the control connection's key. Raises IdentityChanged."""
    certificate = data.getpeercert(binary_form=True)
    if certificate is None:
        if not data.session_reused:
            raise ProtocolViolation("the data connection shows no certificate")
        return  # resumed: only who holds the control session's secrets can be there
    shown = fingerprint_of(certificate)
    if shown != control_fingerprint:
        raise IdentityChanged(
            "the data connection shows another key than the control connection; somebody may be in between",
            control_fingerprint,
            shown,
        )


def _hint(failure: Exception) -> str:
    """What to look at where the other side answered with something that is no TLS."""
    is_no_tls = isinstance(failure, ssl.SSLError) and failure.reason in _NO_TLS
    return "; what answers there speaks no TLS, is it the right port?" if is_no_tls else ""


def reason(failure: Exception) -> str:
    """Why, in the words of the system or of OpenSSL, without their decorations."""
    if isinstance(failure, ssl.SSLError) and failure.reason:
        return failure.reason.replace("_", " ").lower()
    if isinstance(failure, TimeoutError):
        return "timed out"
    return (failure.strerror if isinstance(failure, OSError) else None) or str(failure) or type(failure).__name__
