"""The commands that the engine answers alone, because they touch nothing but the session.

The one rule: a handler gets the session and the parsed argument, changes the session, and returns one final reply,
raises Refusal, or returns None when this argument is for the server after all. It knows nothing of lines, transfers
or events.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from homeport.protocols.ftp.arguments import ExtendedPassive
from homeport.protocols.ftp.facts import ALL_FACTS, FACT_ORDER
from homeport.protocols.ftp.features import feat_reply, help_reply, site_help_reply
from homeport.protocols.ftp.ranges import ByteRange
from homeport.protocols.ftp.replies import Refusal, Reply
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import Expectation, Pending, Protection, Representation, TransferMode

_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


@lru_cache(maxsize=128)
def _ok(code: int, text: str) -> Reply:
    """Most are always the same, and looking one up takes a tenth of making it."""
    return Reply(code, (text,))


def _user(session: Session, name: str) -> Reply:
    session.name_user(name)
    return _ok(331, "Password, please.")


def _acct(_session: Session, _text: str) -> Reply:
    return _ok(202, "No account information is needed.")


def _host(session: Session, name: str) -> Reply:
    name = name.strip()
    if not _HOST.fullmatch(name):
        raise Refusal(501, "Syntax: HOST name (a host name or an address in brackets is wanted).")
    if session.policy.hosts and name.lower() not in session.policy.hosts:
        raise Refusal(504, "No such host here.")
    session.host = name.lower()
    return _ok(220, "Host accepted.")


def _pbsz(session: Session, _size: int) -> Reply:
    session.settings.pbsz_done = True
    return _ok(200, "PBSZ=0")


def _prot(session: Session, level: str) -> Reply:
    if level in ("S", "E"):
        raise Refusal(536, "TLS knows only PROT C and PROT P.")
    if level not in ("C", "P"):
        raise Refusal(504, "No such protection level; use PROT P.")
    wanted = Protection(level)
    if wanted is Protection.CLEAR and session.needs_private_data:
        raise Refusal(534, "Data connections must be private here; use PROT P.")
    session.settings.protection = wanted
    return _ok(200, "Data connections are private." if wanted is Protection.PRIVATE else "Data connections are clear.")


_TYPES = {
    "A": Representation.ASCII,
    "A N": Representation.ASCII,
    "I": Representation.IMAGE,
    "L 8": Representation.LOCAL8,
}


def _type(session: Session, word: str) -> Reply:
    wanted = _TYPES.get(" ".join(word.split()))
    if wanted is None:
        raise Refusal(504, "Only TYPE A, A N, I and L 8 are here.")
    session.settings.representation = wanted
    return _ok(200, f"TYPE is {wanted.value}.")


def _mode(session: Session, word: str) -> Reply:
    if word == "Z" and session.policy.mode_z:
        session.settings.mode = TransferMode.DEFLATE
    elif word == "S":
        session.settings.mode = TransferMode.STREAM
    else:
        raise Refusal(504, "Only MODE S and Z are here." if session.policy.mode_z else "Only MODE S is here.")
    return _ok(200, f"MODE is {word}.")


def _stru(_session: Session, word: str) -> Reply:
    if word != "F":
        raise Refusal(504, "Only STRU F is here.")
    return _ok(200, "STRU is F.")


def _refuse_in_ascii(session: Session, verb: str) -> None:
    if session.settings.representation is Representation.ASCII:
        raise Refusal(501, f"{verb} counts the bytes of the file, which TYPE A changes; send TYPE I first.")


def _rest(session: Session, offset: int) -> Reply:
    if offset:
        _refuse_in_ascii(session, "REST")
    session.settings.keep(Pending.RESTART, offset)
    return _ok(350, f"The next transfer begins at byte {offset}.")


def _rang(session: Session, wanted: ByteRange | None) -> Reply:
    if wanted is None:
        return _ok(350, "The next transfer is whole.")
    _refuse_in_ascii(session, "RANG")
    session.settings.keep(Pending.RANGE, wanted)
    return _ok(350, f"The next RETR or HASH takes the bytes {wanted.first} to {wanted.last}.")


def _epsv(session: Session, wanted: ExtendedPassive) -> Reply | None:
    if wanted is ExtendedPassive.ALL:
        session.settings.epsv_all = True
        return _ok(200, "From now on only EPSV.")
    other = ExtendedPassive.IPV4 if session.ipv6 else ExtendedPassive.IPV6
    if wanted is other:
        raise Refusal(522, f"Network protocol not supported, use ({2 if session.ipv6 else 1})")
    return None


def _abor(_session: Session, _argument: str) -> Reply:
    """Only when no transfer runs; the engine hears it itself during one."""
    return _ok(225, "No transfer is running.")


def _feat(session: Session, _argument: str) -> Reply:
    return feat_reply(session)


def _help(_session: Session, verb: str | None) -> Reply:
    return help_reply(verb)


def _site_help(_session: Session, verb: str | None) -> Reply:
    return site_help_reply(verb)


def _syst(session: Session, _argument: str) -> Reply:
    return _ok(215, session.policy.system)


def _noop(_session: Session, _argument: str) -> Reply:
    return _ok(200, "Here.")


def _clnt(session: Session, text: str) -> Reply:
    session.client = text[:200]
    return _ok(200, "Noted.")


def _lang(_session: Session, tag: str | None) -> Reply:
    if tag is not None and tag.partition("-")[0] not in ("EN", "I"):
        raise Refusal(504, "Replies are in English only.")
    return _ok(200, "Replies are in English.")


def _opts_utf8(session: Session, word: str | None) -> Reply:
    if word not in (None, "ON", "OFF"):
        raise Refusal(501, "Syntax: OPTS UTF8 ON|OFF.")
    session.names.choose(utf8=word != "OFF")
    return _ok(200, f"Names are in {session.names.charset}.")


def _opts_mlst(session: Session, text: str | None) -> Reply:
    """Unknown facts are ignored, none at all is allowed (RFC 3659 section 7.9)."""
    wanted = {word.strip().lower() for word in (text or "").split(";")}
    chosen = [fact for fact in FACT_ORDER if fact.lower() in wanted]
    session.settings.facts = ALL_FACTS & set(chosen)
    return _ok(200, "MLST OPTS " + "".join(f"{fact};" for fact in chosen))


def _opts_hash(session: Session, name: str | None) -> Reply:
    if name is not None:
        if name not in session.policy.hashes:
            raise Refusal(504, f"Unknown algorithm; there are {', '.join(session.policy.hashes)}.")
        session.settings.hash_algorithm = name
    return _ok(200, session.settings.hash_algorithm)


def _opts_mode(session: Session, text: str) -> Reply:
    match text.upper().split():
        case ["Z", "LEVEL", level] if level in tuple("0123456789"):
            session.settings.deflate_level = int(level)
            return _ok(200, f"MODE Z LEVEL is {level}.")
        case _:
            raise Refusal(501, "Syntax: OPTS MODE Z LEVEL 0-9.")


def _site_expect(session: Session, expected: Expectation) -> Reply:
    session.settings.keep(Pending.EXPECTATION, expected)
    return _ok(200, f"The next upload must have {expected.size} bytes and this SHA-256.")


# The argument's type is what the row's shape parses to; a test feeds every row.
Answer = Callable[[Session, Any], Reply | None]

ANSWERS: dict[str, Answer] = {
    "USER": _user,
    "ACCT": _acct,
    "HOST": _host,
    "PBSZ": _pbsz,
    "PROT": _prot,
    "TYPE": _type,
    "MODE": _mode,
    "STRU": _stru,
    "REST": _rest,
    "RANG": _rang,
    "EPSV": _epsv,
    "ABOR": _abor,
    "FEAT": _feat,
    "HELP": _help,
    "SITE HELP": _site_help,
    "SYST": _syst,
    "NOOP": _noop,
    "CLNT": _clnt,
    "LANG": _lang,
    "OPTS UTF8": _opts_utf8,
    "OPTS MLST": _opts_mlst,
    "OPTS HASH": _opts_hash,
    "OPTS MODE": _opts_mode,
    "SITE EXPECT": _site_expect,
}
