"""One connection's loop: take an item, do it, and decide what a failure means.

The one rule: the kind of the error decides. What the network or a busy server did is tried again; what would fail for
every other file ends the job; anything else fails that item alone.
"""

from __future__ import annotations

from homeport.client import deeds, errors
from homeport.client.errors import ClientError
from homeport.client.events import Notice
from homeport.client.flow import Flow, flow_of
from homeport.client.items import Item
from homeport.client.job import Job
from homeport.client.lanes import Lanes, spare_descriptors
from homeport.client.options import TransferOptions
from homeport.client.pool import Pool
from homeport.client.remote import Remote
from homeport.client.task import Outcome, Task, Track
from homeport.client.upload_state import UploadStates

TRIED_AGAIN = (errors.ConnectionFailed, errors.RemoteBusy)
ENDS_THE_JOB = (
    errors.NoRoom,
    errors.LoginFailed,
    errors.IdentityUnknown,
    errors.IdentityChanged,
    errors.TlsRefused,
)


class Worker:
    """A thread's work: `run` until nothing is left. Over a connection that takes many deeds at a time it does many."""

    def __init__(self, job: Job, pool: Pool, options: TransferOptions, states: UploadStates, origin: str) -> None:
        self._job = job
        self._pool = pool
        self._options = options
        self._states = states
        self._origin = origin
        self._remote: Remote | None = None
        self._flow: Flow | None = None
        self._lanes = Lanes()
        self._may_go_on = True
        self._late: dict[str, float] = {}  # modification times whose answer is not here yet

    def run(self) -> None:
        """Until there is nothing left to do, or the job ends."""
        try:
            while self._may_go_on and (item := self._job.next_item()) is not None:
                self._lanes.start(self._see_through(item))
                self._lanes.run_until_room()
            self._lanes.run_until_empty()
            self._settle()
        except BaseException as failure:  # noqa: BLE001 - raised again by Engine.run
            self._job.crashed(failure)
        finally:
            self._lanes.drop()
            self._let_go(keep=True)

    async def _see_through(self, item: Item) -> None:
        """Try `item` until it is done or failed, or this worker is not to go on."""
        tries, is_retry = 0, False
        while not self._job.ending.is_set():
            flow = await self._connect(item)
            if flow is None:
                self._may_go_on = False
                return
            track = Track(
                item, self._job.notify, self._job.around.clock, self._options.progress_interval_s, self._job.moved
            )
            try:
                self._job.done(item, await self._do(item, flow, track, is_retry=is_retry))
                return
            except ClientError as failure:
                track.say()
                is_retry = True
                tries = 0 if track.moved else tries + 1
                if not self._go_on_after(item, failure, tries, flow):
                    return

    async def _do(self, item: Item, flow: Flow, track: Track, *, is_retry: bool) -> Outcome:
        task = Task(item, flow, self._options, track, self._states, self._origin, self._heard_late, is_retry)
        outcome = await deeds.perform(task)
        track.say()
        return outcome

    def _go_on_after(self, item: Item, failure: ClientError, tries: int, flow: Flow) -> bool:
        """Whether to try `item` again."""
        is_cut = isinstance(failure, errors.ConnectionFailed)
        if flow is not self._flow and is_cut and tries <= self._job.policy.attempts:
            return not self._job.ending.is_set()  # another deed of this connection has met the same, and waited
        if self._remote is not None and (is_cut or not self._remote.is_open):
            self._let_go(keep=False)
        if self._job.ending.is_set():
            return False
        if isinstance(failure, ENDS_THE_JOB):
            self._job.end(failure)
            return False
        if not isinstance(failure, TRIED_AGAIN) or tries > self._job.policy.attempts:
            self._job.failed(item, failure)
            return False
        return self._job.wait_to_retry(failure)

    # --- the connection ---

    async def _connect(self, item: Item) -> Flow | None:
        """The connection, made again and again if need be. None when the job ends, or others do `item`."""
        while self._flow is None:
            try:
                self._remote = self._pool.take()
                self._job.connected()
            except TRIED_AGAIN as failure:
                if self._job.leave_to_others(item):
                    self._job.notify(Notice(f"going on with fewer connections: {failure}"))
                    return None
                if not self._job.wait_to_retry(failure):
                    return None
            except ClientError as failure:
                self._job.end(failure)
                return None
            else:
                self._flow, lanes = flow_of(self._remote)
                self._lanes.most = max(1, min(lanes, spare_descriptors() // self._job.workers))
                await self._ask_late_again(self._flow)
        return self._flow

    def _let_go(self, *, keep: bool) -> None:
        if self._remote is None:
            return
        remote, self._remote, self._flow = self._remote, None, None
        self._job.disconnected()
        if keep and remote.is_open:
            self._pool.give_back(remote)
        else:
            self._pool.discard(remote)

    # --- answers that nobody waited for ---

    def _heard_late(self, path: str, mtime: float, failure: ClientError | None) -> None:
        if failure is None:
            self._late.pop(path, None)
        elif isinstance(failure, errors.ConnectionFailed):
            self._late[path] = mtime  # asked again over the next connection
        else:
            self._late.pop(path, None)
            self._job.notify(Notice(f"the modification time was not kept: {failure}"))

    async def _ask_late_again(self, flow: Flow) -> None:
        for path, mtime in list(self._late.items()):
            await deeds.set_mtime_later(flow, path, mtime, self._heard_late)

    def _settle(self) -> None:
        """Before the connection rests: hear every answer."""
        if self._remote is None or self._job.ending.is_set():
            return
        try:
            self._remote.settle()
        except ClientError:
            self._let_go(keep=False)
        for path in self._late:
            self._job.notify(
                Notice(f"{path}: the connection was lost before the server could say that it kept the time")
            )
