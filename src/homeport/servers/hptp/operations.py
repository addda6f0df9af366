"""Every operation of HPTP: one row each, as docs/hptp.md has them in its section 6.

The one rule: what a row does not say does not exist. The arguments' shapes, which of them name what is changed, and how
the work is done are here; sessions know no operation by its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from homeport.core.home import Home
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.hptp import arguments as shape
from homeport.servers.hptp import chat_operations, deeds, tokens
from homeport.servers.hptp.arguments import Arguments, Shape, read_arguments
from homeport.servers.hptp.errors import Refused
from homeport.servers.hptp.listings import Listing, entries_of, tree_of
from homeport.servers.hptp.requests import Brief, Request, Work
from homeport.servers.hptp.sending import Get
from homeport.servers.hptp.session import HptpSession
from homeport.servers.hptp.uploads import begin_put
from homeport.servers.hptp.watching import Watching

Begin = Callable[[HptpSession, Request], Work]
Deed = Callable[[Home, Arguments], JsonObject]


@dataclass(frozen=True, slots=True)
class Row:
    """`changes` and `looks_at` name the arguments that are paths which it changes, or merely looks at."""

    begin: Begin
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    looks_at: str | None = None

    def read(self, said: JsonObject) -> Arguments:
        """The arguments, checked. Raises Refused, InvalidPath."""
        return read_arguments(self.shapes, said)


class _Short(Brief):
    """What takes microseconds unless the disk is slow: done in batches."""

    __slots__ = ("_deed", "_request", "_session")

    def __init__(self, session: HptpSession, request: Request, deed: Deed) -> None:
        self._session = session
        self._request = request
        self._deed = deed

    def start(self) -> None:
        """See Work."""
        self._session.short(self._request.stream, lambda home: self._deed(home, self._request.arguments))


class _Long(_Short):
    """What reads whole files: alone in a thread. What has not begun when the client loses interest is not done."""

    __slots__ = ("_stopped",)

    def __init__(self, session: HptpSession, request: Request, deed: Deed) -> None:
        super().__init__(session, request, deed)
        self._stopped: Refused | None = None

    def start(self) -> None:
        """See Work."""
        session = self._session
        session.run(self._request.stream, session.call(self._do, session.home))

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        self._stopped = self._stopped or Refused(code, reason)

    def _do(self, home: Home) -> JsonObject:
        if self._stopped is not None:
            raise self._stopped
        return self._deed(home, self._request.arguments)


class _Now(Brief):
    """What is known without asking anybody."""

    __slots__ = ("_request", "_said", "_session")

    def __init__(self, session: HptpSession, request: Request, said: Callable[[HptpSession], JsonObject]) -> None:
        self._session = session
        self._request = request
        self._said = said

    def start(self) -> None:
        """See Work."""
        self._session.answer(self._request.stream, self._said(self._session))


def _short(deed: Deed) -> Begin:
    return partial(_Short, deed=deed)


def _long(deed: Deed) -> Begin:
    return partial(_Long, deed=deed)


def _token(deed: tokens.Deed) -> Begin:
    def begin(session: HptpSession, request: Request) -> Work:
        return _Long(session, request, partial(deed, session.front.proofs.tokens))

    return begin


_PATH = {"path": shape.PATH}
_PAIR = {"source": shape.PATH, "target": shape.PATH}
_PUT = {
    "path": shape.PATH,
    "size": shape.OPTIONAL_SIZE,
    "mtime_ns": shape.OPTIONAL_TIME,
    "sha256": shape.OPTIONAL_DIGEST,
    "offset": shape.OFFSET,
    "resume": shape.FLAG,
    "append": shape.FLAG,
    "new": shape.FLAG,
    "parents": shape.FLAG,
    "unique": shape.FLAG,
}
_LISTED = {"path": shape.PATH, "digests": shape.FLAG}

OPERATIONS: dict[str, Row] = {
    "list": Row(partial(Listing, items=entries_of), _LISTED, looks_at="path"),
    "walk": Row(partial(Listing, items=tree_of), _LISTED, looks_at="path"),
    "stat": Row(_short(deeds.stat), _PATH, looks_at="path"),
    "resume_size": Row(_short(deeds.resume_size), _PATH, looks_at="path"),
    "get": Row(Get, {"path": shape.PATH, "offset": shape.OFFSET, "length": shape.OPTIONAL_SIZE}, looks_at="path"),
    "put": Row(begin_put, _PUT, changes=("path",)),
    "mkdir": Row(_short(deeds.make_directory), {"path": shape.PATH, "parents": shape.FLAG}, changes=("path",)),
    "move": Row(_short(deeds.move), _PAIR, changes=("source", "target")),
    "copy": Row(_long(deeds.copy), _PAIR, changes=("source", "target")),
    "remove": Row(_short(deeds.remove), {"path": shape.PATH, "kind": shape.KIND}, changes=("path",)),
    "set_times": Row(_short(deeds.set_times), {"path": shape.PATH, "mtime_ns": shape.TIME}, changes=("path",)),
    "set_mode": Row(_short(deeds.set_mode), {"path": shape.PATH, "mode": shape.MODE}, changes=("path",)),
    "digest": Row(
        _long(deeds.digest),
        {"path": shape.PATH, "algorithm": shape.ALGORITHM, "start": shape.OFFSET, "end": shape.OPTIONAL_SIZE},
        looks_at="path",
    ),
    "usage": Row(_short(deeds.usage)),
    "reserve": Row(_short(deeds.reserve), {"size": shape.SIZE}),
    "services": Row(partial(_Now, said=lambda session: {"services": dict(session.front.settings.services)})),
    "time": Row(partial(_Now, said=lambda _: {"now_ms": time.time_ns() // 1_000_000})),
    "ping": Row(partial(_Now, said=lambda _: {})),
    "events": Row(Watching, _PATH),
    "token.create": Row(_token(tokens.create), {"label": shape.TEXT}),
    "token.list": Row(_token(tokens.of)),
    "token.revoke": Row(_token(tokens.revoke), {"id": shape.TEXT}),
    "chat.key": Row(chat_operations.Key),
    "chat.do": Row(chat_operations.Do, chat_operations.DO),
    "chat.listen": Row(chat_operations.Listen, chat_operations.LISTEN),
}
