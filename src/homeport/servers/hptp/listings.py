"""list and walk: entries to the client, a few hundred at a time, at the client's pace.

The one rule: memory does not grow with the folder. A step reads some entries in a thread and ends; the next one begins
when the client has read most of what was sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator

from homeport.core.entries import Entry, Kind
from homeport.core.errors import HomeportError
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.protocols.hptp.names import to_wire
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.servers.hptp.arguments import Arguments
from homeport.servers.hptp.deeds import facts, named
from homeport.servers.hptp.errors import CANCELLED, Refused, error_object
from homeport.servers.hptp.requests import Brief, Request
from homeport.servers.hptp.session import HptpSession

_STEP = 256  # entries: a few milliseconds

Items = Generator[JsonObject, None, None]


class Listing(Brief):
    """One list or walk."""

    def __init__(self, session: HptpSession, request: Request, items: Callable[[Home, Arguments], Items]) -> None:
        self._session = session
        self._request = request
        self._items = items
        self._stopped: Refused | None = None

    def start(self) -> None:
        """See Work."""
        self._session.run(self._request.stream, self._run())

    def stop(self, code: str, reason: str) -> None:
        """See Work."""
        self._stopped = self._stopped or Refused(code, reason)

    async def _run(self) -> JsonObject:
        session = self._session
        async with session.listings:
            items = self._items(session.home, self._request.arguments)
            count = 0
            try:
                while step := await session.call_listing(_some_of, items):
                    if self._stopped is not None:
                        raise self._stopped
                    session.send_items(self._request.stream, step)
                    count += sum("error" not in item for item in step)
                    if not await session.link.drained():
                        raise Refused(CANCELLED, "the client has gone")
            finally:
                await session.call_listing(items.close)
        return {"count": count}


def _some_of(items: Items) -> list[JsonObject]:
    return list(itertools.islice(items, _STEP))


def entries_of(home: Home, arguments: Arguments) -> Items:
    """What `list` sends."""
    path: VirtualPath = arguments["path"]
    with home.list(path) as entries:
        for entry in entries:
            item = named(entry)
            if arguments["digests"]:
                _add_digest(home, path, entry, item)
            yield item


def tree_of(home: Home, arguments: Arguments) -> Items:
    """What `walk` sends: a folder before what is in it, depth first, so that one folder a level is open."""
    folder: VirtualPath = arguments["path"]
    yield from _below(home, folder, "", digests=arguments["digests"])


def _below(home: Home, folder: VirtualPath, prefix: str, *, digests: bool) -> Items:
    with home.list(folder, through_links=False) as entries:
        for found in entries:
            entry = _seen(home, folder, found)
            item: JsonObject = {"path": to_wire(prefix + entry.name), **facts(entry)}
            if digests:
                _add_digest(home, folder, entry, item)
            yield item
            if entry.kind is Kind.DIRECTORY:
                yield from _inside(home, folder.child(entry.name), prefix + entry.name, digests=digests)


def _inside(home: Home, folder: VirtualPath, prefix: str, *, digests: bool) -> Items:
    try:
        yield from _below(home, folder, f"{prefix}/", digests=digests)
    except HomeportError as error:
        said = error_object(error)
        yield {"path": to_wire(prefix), "error": {"code": said["code"], "message": said["message"]}}


def _seen(home: Home, folder: VirtualPath, entry: Entry) -> Entry:
    """A link to a file inside the home is that file; a link to a folder stays one, or a tree could have no end."""
    if entry.kind is not Kind.LINK:
        return entry
    try:
        found = home.stat(folder.child(entry.name))
    except HomeportError:
        return entry
    return found if found.kind is Kind.FILE else entry


def _add_digest(home: Home, folder: VirtualPath, entry: Entry, item: JsonObject) -> None:
    if entry.kind is Kind.FILE:
        digest = home.kept_digest(folder.child(entry.name))
        if digest is not None:
            item["sha256"] = digest
