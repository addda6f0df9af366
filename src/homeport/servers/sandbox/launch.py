"""Starting one confined command, and nothing of it before it is bounded.

The one rule: bubblewrap waits, with the sandbox made, until the server holds a descriptor of the sandbox's first
process, has put it into its control group and has set its limits; then the command begins. Whoever kills that first
process kills all the others with it (pid_namespaces(7)).

`launch` blocks for some milliseconds and is called from threads that live as long as the server: bubblewrap dies with
the thread that started it (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from homeport.servers.sandbox import seccomp, view
from homeport.servers.sandbox.bubblewrap import Confiner
from homeport.servers.sandbox.cgroups import Group
from homeport.servers.sandbox.limits import Limits, of_each_process
from homeport.servers.sandbox.terminals import Terminal
from homeport.servers.sandbox.view import View

_PIPE_BYTES = 256 * 1024
_PATIENCE_S = 20.0  # for bubblewrap to make the sandbox; milliseconds, where the machine has time
_STATUS_BYTES = 4096
_COMPLAINT_BYTES = 4096
_UMASK = 0o077


class LaunchFailed(Exception):
    """The sandbox could not be made; the text is for the administrator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command to start: `argv` and `environment` for it, what it sees, what it may use.

    `terminal`: it gets one, else three pipes. `file_bytes`: how long one file may be (None: as it likes).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    view: View
    limits: Limits = field(default_factory=Limits)
    terminal: Terminal | None = None
    file_bytes: int | None = None


@dataclass(slots=True, eq=False)
class Launched:
    """A command that has begun. The descriptors are this process's ends; with a terminal `input` and `output` are its
    one master, and there is no `errors`. `first` is the sandbox's first process (its descriptor `first_fd`).
    """

    bubblewrap: subprocess.Popen[bytes]
    first: int
    first_fd: int
    status: int  # kept open: bubblewrap writes to it until its end
    input: int
    output: int
    errors: int | None
    group: Group | None
    device: int  # that the home is on

    def close(self) -> None:
        """Close the descriptors that are left; the streams close their own."""
        for descriptor in (self.first_fd, self.status):
            os.close(descriptor)


def status_of(confiner: Confiner, order: Order) -> int:
    """The status of a command that says nothing, waited for in place. Raises LaunchFailed."""
    launched = launch(confiner, order)
    try:
        return launched.bubblewrap.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise LaunchFailed(f"a command did not end within {_PATIENCE_S:.0f} s") from error
    finally:
        _end(launched.bubblewrap)
        select.select([launched.first_fd], [], [], _PATIENCE_S)
        launched.close()
        for descriptor in {launched.input, launched.output, launched.errors}:
            if descriptor is not None:
                os.close(descriptor)
        if launched.group is not None:
            launched.group.remove()


def launch(confiner: Confiner, order: Order) -> Launched:
    """Start the command. Raises LaunchFailed; then nothing is left of it."""
    try:
        with ExitStack() as undo, ExitStack() as theirs:
            device = os.stat(order.view.home).st_dev
            ends = _Ends.make(order.terminal, undo, theirs)
            group = confiner.groups.make(order.limits.memory_bytes, order.limits.processes) if confiner.groups else None
            if group is not None:
                undo.callback(group.remove)
            status, told = _pipe(undo, theirs)
            held, let_go = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, held)
            undo.callback(_close, let_go)
            process = _spawn(confiner, order, ends, (told, held), theirs)
            undo.callback(_end, process)
            theirs.close()
            first = _first_process(process, status, ends.errors)
            first_fd = os.pidfd_open(first)
            undo.callback(os.close, first_fd)
            _bound(first, group, order)
            os.write(let_go, b"1")
            os.close(let_go)
            undo.pop_all()
            return Launched(process, first, first_fd, status, *ends.ours, group, device)
    except (OSError, ValueError) as error:
        raise LaunchFailed(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Ends:
    """The streams' ends: ours first, then those that the command gets as 0, 1 and 2."""

    input: int
    output: int
    errors: int | None
    given: tuple[int, int, int]

    @property
    def ours(self) -> tuple[int, int, int | None]:
        """Our ends, in the order of the command's."""
        return self.input, self.output, self.errors

    @classmethod
    def make(cls, terminal: Terminal | None, undo: ExitStack, theirs: ExitStack) -> _Ends:
        if terminal is not None:
            master, slave = terminal.open()
            undo.callback(os.close, master)
            theirs.callback(os.close, slave)
            os.set_blocking(master, False)
            return cls(master, master, None, (slave, slave, slave))
        their_input, our_input = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, their_input)
        undo.callback(os.close, our_input)
        output, their_output = _pipe(undo, theirs)
        errors, their_errors = _pipe(undo, theirs)
        for ours in (our_input, output, errors):
            os.set_blocking(ours, False)
        with suppress(OSError):  # the user has too many large pipes already: smaller ones work, too
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return cls(our_input, output, errors, (their_input, their_output, their_errors))


def _pipe(undo: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    undo.callback(_close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def _spawn(
    confiner: Confiner, order: Order, ends: _Ends, ours: tuple[int, int], theirs: ExitStack
) -> subprocess.Popen[bytes]:
    told, held = ours
    made = {path: _data(content, theirs) for path, content in view.files(order.view).items()}
    filter_ = _data(seccomp.program(confiner.machine), theirs)
    options = [
        *view.arguments(order.view, made),
        "--seccomp", str(filter_), "--json-status-fd", str(told), "--block-fd", str(held),
    ]  # fmt: skip
    # By a descriptor: a command that looks at its first process must not learn where homes lie.
    listed = _data(b"".join(os.fsencode(option) + b"\0" for option in options), theirs)
    leader = (view.SETSID, "-c") if order.terminal is not None else ()
    stdin, stdout, stderr = ends.given
    return subprocess.Popen(
        [confiner.program, "--args", str(listed), "--", *leader, *order.argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(order.environment),
        cwd="/",
        pass_fds=(*made.values(), filter_, told, held, listed),
        start_new_session=True,
        umask=_UMASK,
    )


def _data(content: bytes, theirs: ExitStack) -> int:
    """A descriptor that bubblewrap reads `content` from."""
    descriptor = os.memfd_create("homeport", os.MFD_CLOEXEC)
    theirs.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _first_process(process: subprocess.Popen[bytes], status: int, errors: int | None) -> int:
    """The process id of the sandbox's first process, as bubblewrap tells it."""
    deadline = time.monotonic() + _PATIENCE_S
    told = b""
    while b"\n" not in told:
        ready, _, _ = select.select([status], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(status, _STATUS_BYTES) if ready else b""
        if not more:
            raise LaunchFailed(_complaint(process, errors, in_time=bool(ready)))
        told += more
    return int(json.loads(told.partition(b"\n")[0])["child-pid"])


def _complaint(process: subprocess.Popen[bytes], errors: int | None, *, in_time: bool) -> str:
    if not in_time:
        return f"bubblewrap did not make the sandbox within {_PATIENCE_S:.0f} s"
    process.wait(_PATIENCE_S)
    said = b""
    with suppress(OSError):
        said = os.read(errors, _COMPLAINT_BYTES) if errors is not None else b""
    return said.decode("utf-8", "backslashreplace").strip() or f"bubblewrap ended with status {process.returncode}"


def _bound(first: int, group: Group | None, order: Order) -> None:
    if group is not None:
        group.join(first)
    chosen = of_each_process(order.limits, order.file_bytes, memory_is_shared=group is not None)
    for kind, value in chosen.items():
        _, most = resource.prlimit(first, kind)
        bound = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.prlimit(first, kind, (bound, bound))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
