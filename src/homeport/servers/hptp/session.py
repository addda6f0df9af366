"""One client that has logged in: its requests, each to its kind of work, and the one way to answer them.

The one rule: whatever a request does, it is answered once, gives back what it held, and holds up no other; what the
client has sent and nobody has stored yet stays within the window that it was given.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar

from homeport.core.accounts import Account
from homeport.core.errors import HomeportError
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.sessions import SessionRecord
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.strict_json import Json, JsonObject
from homeport.servers.hptp.batches import Batches, Job
from homeport.servers.hptp.errors import MISTAKE, MISTAKE_TEXT, STALLED, TOO_MANY, UNKNOWN_OP, Refused, error_object
from homeport.servers.hptp.front import Front
from homeport.servers.hptp.requests import Request, Work
from homeport.servers.hptp.turns import Turns
from homeport.servers.rates import SharedRate

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_LISTINGS_AT_ONCE = 4  # each may hold a descriptor for every level of a tree
_LOOKS = 4  # at stalled requests, in the time that one may stall


class Link(Protocol):
    """The connection under a session."""

    engine: Connection

    def flush(self) -> None:
        """Send what the engine has to say, now."""
        ...

    def flush_soon(self) -> None:
        """Send it at the end of this turn, with what else comes."""
        ...

    @property
    def full(self) -> bool:
        """Whether the client has to read first."""
        ...

    async def drained(self) -> bool:
        """Wait until it has read most of what was sent; False when it has gone."""
        ...


class Sender(Protocol):
    """What sends files; see `homeport.servers.hptp.sending`."""

    def go_on(self) -> None:
        """The client has read what was sent: send more."""
        ...

    def credit(self) -> None:
        """The client takes more, whatever the file."""
        ...

    def close(self) -> None:
        """Send nothing more."""
        ...


class Operation(Protocol):
    """A row of the table, as far as the session needs it; see `homeport.servers.hptp.operations`."""

    @property
    def changes(self) -> tuple[str, ...]: ...

    @property
    def looks_at(self) -> str | None: ...

    def read(self, said: JsonObject) -> Mapping[str, Any]: ...

    def begin(self, session: HptpSession, request: Request) -> Work: ...


class HptpSession:
    """For the event loop's thread. `ended_one` is called when a request was answered and nothing else is under way."""

    def __init__(
        self,
        front: Front,
        link: Link,
        home: Home,
        record: SessionRecord,
        operations: Mapping[str, Operation],
    ) -> None:
        self.front = front
        self.link = link
        self.home = home
        self.record = record
        self.engine = link.engine
        self.batches = Batches(home, front.core.files, home.account.id, link.flush_soon)
        self.sender: Sender | None = None  # made when the first file is asked for
        self.open_files = asyncio.Semaphore(front.settings.max_open_files)
        self.listings = asyncio.Semaphore(_LISTINGS_AT_ONCE)
        self.unstored = 0  # bytes that came and were not given back
        self.watched = 0  # folders whose changes are waited for
        self.requests = 0  # so far
        self._operations = operations
        self._turns = Turns()
        self._work: dict[int, Work] = {}
        self._holding: dict[int, Work] = {}  # uploads whose bytes wait for more, the longest silent first
        self._going_on = 0  # uploads that are being stored, for which no byte of the client's is waited
        self._after: dict[int, Callable[[], None]] = {}  # what is done when a stream is answered
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        times = front.settings.times
        self._look_s = min(times.send_s, times.data_s) / _LOOKS
        self._looks = front.deadlines.new(self._look)
        self._loop = asyncio.get_running_loop()

    @property
    def account(self) -> Account:
        """The account as it is now: rights and limits may change while the session lasts."""
        return self.home.account

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._work)

    # What the client says

    def request(self, stream: int, op: str, said: JsonObject) -> None:
        """A request has come."""
        self.requests += 1
        operation = self._operations.get(op)
        if operation is None:
            self.refuse(stream, Refused(UNKNOWN_OP, f"no operation is called {op[:40]!r} here"))
            return
        try:
            request = Request(stream, op, operation.read(said))
            work = operation.begin(self, request)
        except (Refused, HomeportError) as error:
            self.refuse(stream, error)
            return
        self._work[stream] = work
        if self._looks.at is None:
            self._looks.set(self._look_s)
        self._take_turn(operation, request, work)

    def _take_turn(self, operation: Operation, request: Request, work: Work) -> None:
        if operation.changes:
            paths: list[VirtualPath] = [request.arguments[name] for name in operation.changes]
            give_back = self._turns.change(paths, work.start)
            if request.stream in self._work:
                self._after[request.stream] = give_back
            else:
                give_back()
        elif operation.looks_at is not None:
            self._turns.look(request.arguments[operation.looks_at], work.start)
        else:
            work.start()

    def data(self, stream: int, piece: memoryview) -> None:
        """Bytes of a body have come."""
        self.unstored += len(piece)
        work = self._work.get(stream)
        if work is None:
            self.consumed(stream, len(piece))
        else:
            work.data(piece)

    def end(self, stream: int, trailer: JsonObject) -> None:
        """A body is complete."""
        if (work := self._work.get(stream)) is not None:
            work.end(trailer)

    def credit(self, stream: int) -> None:
        """The client takes more: on one stream, or on all for 0, which costs nothing unless somebody waits for it."""
        if stream == 0:
            if self.sender is not None:
                self.sender.credit()
        elif (work := self._work.get(stream)) is not None:
            work.credit()

    def cancel(self, stream: int, code: str, reason: str) -> None:
        """The client has lost interest in a request, or broke its rules."""
        if (work := self._work.get(stream)) is not None:
            work.stop(code, reason)

    # What the work says

    def answer(self, stream: int, result: JsonObject) -> None:
        """The request went well."""
        if not self._stopped:
            try:
                self.engine.send_result(stream, result)
            except ValueError:
                _log.exception("an answer cannot be said")
                self.engine.send_error(stream, MISTAKE, MISTAKE_TEXT)
        self._over(stream)

    def refuse(self, stream: int, error: BaseException) -> None:
        """The request failed."""
        if isinstance(error, Refused | HomeportError):
            said = error_object(error)
        else:
            _log.error("a request ended with an error of ours", exc_info=error)
            said = {"code": MISTAKE, "message": MISTAKE_TEXT}
        code, message = str(said.pop("code")), str(said.pop("message"))
        if not self._stopped:
            self.engine.send_error(stream, code, message, **said)
        self._over(stream)

    def settle(self, stream: int, outcome: JsonObject | BaseException) -> None:
        """The request has ended either way."""
        if isinstance(outcome, BaseException):
            self.refuse(stream, outcome)
        else:
            self.answer(stream, outcome)

    def send_items(self, stream: int, items: Iterable[Mapping[str, Json]]) -> None:
        """A part of the answer."""
        if not self._stopped:
            self.engine.send_items(stream, items)
            self.link.flush_soon()

    def consumed(self, stream: int, amount: int) -> None:
        """Bytes of the client's have found their place: as many more may come."""
        self.unstored -= amount
        self.engine.consumed(stream, amount)
        self.link.flush_soon()

    def hold(self, stream: int, work: Work) -> None:
        """Bytes came that nobody can store before more come, or before another upload has ended."""
        self._holding.pop(stream, None)
        self._holding[stream] = work
        self._make_room_soon()

    def goes_on(self) -> None:
        """An upload is being stored, and no byte of the client's is waited for."""
        self._going_on += 1

    def goes_on_no_more(self) -> None:
        """It has ended, or waits for the client."""
        self._going_on -= 1
        self._make_room_soon()

    def _make_room_soon(self) -> None:
        """Look when those have been woken for whom something has ended."""
        if self._must_make_room:
            self._loop.call_soon(self._make_room)

    @property
    def _must_make_room(self) -> bool:
        """Whether too much is held, and nothing goes on that would give credit back.

        Then a client that has begun a thousand uploads and ended none of them would wait for itself for ever.
        """
        most = self.front.settings.limits.connection_window // 2
        return bool(self._holding) and not self._going_on and self.unstored > most

    def _make_room(self) -> None:
        """Whoever was silent longest goes."""
        while self._must_make_room:
            silent = next(iter(self._holding))
            self._holding.pop(silent).stop(TOO_MANY, "too many uploads at once that have not ended; end some of them")

    def hold_no_more(self, stream: int) -> None:
        """What came can be stored now, or is not wanted any more."""
        self._holding.pop(stream, None)

    # How work is done

    def short(self, stream: int, job: Job) -> None:
        """Have `job` done with the next batch; what it returns or raises is the answer."""
        self.batches.add(job, lambda outcome: self.settle(stream, outcome))

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of the core, which may block, in a thread: of those that the account may have at once."""
        return await self.front.core.files.run_for(self.account.id, function, *args, **kwargs)

    async def call_listing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, for a piece of a folder's listing: few of these are made at once."""
        return await self.front.core.listings.run_for(self.account.id, function, *args, **kwargs)

    def run(self, stream: int, work: Coroutine[Any, Any, JsonObject]) -> None:
        """Run `work`, whose result or exception is the answer."""
        self.spawn(self._run(stream, work))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, which answers by itself, beside everything else; the session's end waits for it."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: int, work: Coroutine[Any, Any, JsonObject]) -> None:
        try:
            result = await work
        except Exception as error:  # noqa: BLE001 - one request's mistake must not take the session along
            self.refuse(stream, error)
        else:
            self.answer(stream, result)

    def bucket(self, *, upload: bool) -> SharedRate | None:
        """The rate limit of the account's uploads or downloads, shared by its sessions; None where it has none."""
        own, common = self.account.limits, self.front.settings
        if upload:
            rate = own.upload_bytes_per_s or common.upload_bytes_per_s
        else:
            rate = own.download_bytes_per_s or common.download_bytes_per_s
        return None if rate is None else self.front.core.rates.bucket(self.account.id, rate, upload=upload)

    # The end

    async def close(self, reason: str) -> None:
        """Stop everything, keep what came, and wait until nobody works for this session any more."""
        self._stopped = True
        self._looks.discard()
        for work in list(self._work.values()):
            work.stop(STALLED, reason)
        if self.sender is not None:
            self.sender.close()
        await self.batches.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._work.clear()

    def _over(self, stream: int) -> None:
        self._work.pop(stream, None)
        self.link.flush_soon()
        if (after := self._after.pop(stream, None)) is not None:
            after()
        if not self._work:
            self.record.rest()

    def _look(self) -> None:
        now = time.monotonic()
        for work in list(self._work.values()):
            if work.stalls(now):
                work.stop(STALLED, "the client kept it waiting for too long; what came is kept")
        if self._work:
            self._looks.set(self._look_s)
