"""The chat through HPTP: keys for its sessions on UDP, and the same requests and pushes where UDP is blocked.

The one rule: the hub does everything; here is only how it is asked and told over a stream.
"""

from __future__ import annotations

import base64
from typing import Any
from weakref import WeakKeyDictionary

from homeport.core.chat_keys import SessionKeys
from homeport.core.errors import HomeportError
from homeport.protocols.chat import talk
from homeport.protocols.hptp.strict_json import Json, JsonObject
from homeport.servers.chat_access import ChatAccess
from homeport.servers.hptp.arguments import Shape
from homeport.servers.hptp.errors import CANCELLED, MALFORMED, UNKNOWN_OP, Refused
from homeport.servers.hptp.requests import Brief, Request
from homeport.servers.hptp.session import HptpSession

_ALREADY = "this connection listens to the chat already"


def _object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


DO = {"do": Shape(_object)}
LISTEN = {"after": Shape(_object, required=False)}


class Ear:
    """A connection of HPTP as a Listener of the hub's: its pushes go out on the stream of its `chat.listen`."""

    def __init__(self, session: HptpSession) -> None:
        self.account_id = session.account.id
        self.account = session.account.name
        self.stream: int | None = None
        self._session = session

    def push(self, message: bytes) -> None:
        """See Listener."""
        if self.stream is not None:
            self._session.send_items(self.stream, [talk.read_object(message)])

    @property
    def takes_more(self) -> bool:
        """See Listener."""
        return not self._session.link.full


_ears: WeakKeyDictionary[HptpSession, Ear] = WeakKeyDictionary()


def _ear_of(session: HptpSession) -> Ear:
    ear = _ears.get(session)
    if ear is None:
        ear = _ears[session] = Ear(session)
    return ear


def _chat_of(session: HptpSession) -> ChatAccess:
    chat = session.front.core.chat
    if chat is None:
        raise Refused(UNKNOWN_OP, "this server has no chat")
    return chat


class Key(Brief):
    """chat.key: a name and two keys for one session on UDP, to be used within a minute."""

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._stream = request.stream
        self._chat = _chat_of(session)

    def start(self) -> None:
        """See Work."""
        self._session.run(self._stream, self._issue())

    async def _issue(self) -> JsonObject:
        keys = await self._session.call(self._chat.keys.issue, self._session.account.id)
        return {"port": self._chat.port, **_shown(keys)}


class Do(Brief):
    """chat.do: one request of the chat's, as in protocols/chat/talk.py but for its number."""

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._stream = request.stream
        self._chat = _chat_of(session)
        self._request = _checked(request.arguments["do"])
        if self._request.op == "start":
            raise Refused(MALFORMED, "start is chat.listen here")

    def start(self) -> None:
        """See Work."""
        self._chat.hub.ask(_ear_of(self._session), self._request, self._answered)

    def _answered(self, said: JsonObject | HomeportError) -> None:
        self._session.settle(self._stream, said)


class Listen(Brief):
    """chat.listen: pushes as ITEMS until it is cancelled; the first item is the answer of `start`."""

    def __init__(self, session: HptpSession, request: Request) -> None:
        self._session = session
        self._stream = request.stream
        self._chat = _chat_of(session)
        self._ear = _ear_of(session)
        if self._ear.stream is not None:
            raise Refused(MALFORMED, _ALREADY)
        self._ear.stream = request.stream
        self._request = _checked({"op": "start", "after": request.arguments["after"]})
        self._is_over = False

    def start(self) -> None:
        """See Work."""
        self._chat.hub.ask(self._ear, self._request, self._answered)

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        self._finish(Refused(code or CANCELLED, reason))

    def _answered(self, said: JsonObject | HomeportError) -> None:
        if self._is_over:
            self._chat.hub.quit(self._ear)
        elif isinstance(said, HomeportError):
            self._finish(said)
        else:
            self._session.send_items(self._stream, [said])

    def _finish(self, error: BaseException) -> None:
        if not self._is_over:
            self._is_over = True
            self._chat.hub.quit(self._ear)
            self._ear.stream = None
            self._session.refuse(self._stream, error)


def _checked(said: Any) -> talk.Request:
    try:
        return talk.check_request(0, said)
    except talk.BadRequest as error:
        raise Refused(MALFORMED, str(error)) from error


def _shown(keys: SessionKeys) -> JsonObject:
    parts = {"name": keys.name, "client": keys.client, "server": keys.server}
    return {part: base64.b64encode(value).decode("ascii") for part, value in parts.items()}
