"""Which system calls a confined command is refused: a filter for the kernel, made from one table.

The one rule: what is refused here is what namespaces and missing privileges leave open. A command's files belong to the
server's own user outside the sandbox, so it must not make one that runs with that user's rights (set-uid, set-gid); the
server's keys in the kernel are not its own; nobody types into a terminal but its user; room on the disk beyond a
file's end (fallocate(2)) would count for nobody; and not every kind of socket knows of network namespaces: by
AF_VSOCK (vsock(7)) a command would reach the machine's hypervisor.

A filter cannot follow pointers (seccomp(2)), so calls that hide the mode behind one do not exist for a command:
`openat2` and io_uring. Programs fall back to the older calls.
"""

from __future__ import annotations

import errno
import platform
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass

_SET_ID = stat.S_ISUID | stat.S_ISGID
_CREATES = 0o100 | 0o20000000  # O_CREAT, O_TMPFILE: only then is there a mode
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: those that are the namespace's own
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02  # of fallocate(2)

# Classic BPF (linux/bpf_common.h): load a word, compare, return.
_LOAD, _EQUAL, _ATLEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000

_Step = tuple[int, int, int, int]  # code, skipped when true, skipped when false, operand
_Rule = Callable[[], list[_Step]]


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of processor: the kernel's number for it, its calls' numbers, and where another ABI's numbers begin."""

    audit: int
    calls: dict[str, int]
    foreign_from: int | None = None


def _return(verdict: int) -> _Step:
    return (_RETURN, 0, 0, verdict)


def _refusal(number: int) -> _Step:
    return _return(_REFUSE | number)


def _argument(index: int) -> _Step:
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)  # its lower half, which is all that the kernel looks at


def _never(number: int) -> _Rule:
    return lambda: [_refusal(number)]


def _plain_mode(mode: int) -> _Rule:
    return lambda: [_argument(mode), (_ANY_BIT, 0, 1, _SET_ID), _refusal(errno.EPERM), _return(_ALLOW)]


def _plain_mode_if_made(flags: int, mode: int) -> _Rule:
    return lambda: [_argument(flags), (_ANY_BIT, 1, 0, _CREATES), _return(_ALLOW), *_plain_mode(mode)()]


def _no_typing() -> list[_Step]:
    return [
        _argument(1),
        (_EQUAL, 2, 0, _TIOCSTI),
        (_EQUAL, 1, 0, _TIOCLINUX),
        _return(_ALLOW),
        _refusal(errno.EPERM),
    ]


def _own_network() -> list[_Step]:
    ours = [(_EQUAL, len(_FAMILIES) - at, 0, family) for at, family in enumerate(_FAMILIES)]
    return [_argument(0), *ours, _refusal(errno.EAFNOSUPPORT), _return(_ALLOW)]


def _no_hidden_room() -> list[_Step]:
    return [
        _argument(1),
        (_ANY_BIT, 1, 0, _PUNCH_HOLE),  # it needs the other, and gives room back
        (_ANY_BIT, 1, 0, _KEEP_SIZE),
        _return(_ALLOW),
        _refusal(errno.EOPNOTSUPP),
    ]


_MISSING, _FORBIDDEN = _never(errno.ENOSYS), _never(errno.EPERM)
_RULES: dict[str, _Rule] = {
    "open": _plain_mode_if_made(1, 2),
    "openat": _plain_mode_if_made(2, 3),
    "openat2": _MISSING,
    "creat": _plain_mode(1),
    "mknod": _plain_mode(1),
    "mknodat": _plain_mode(2),
    "chmod": _plain_mode(1),
    "fchmod": _plain_mode(1),
    "fchmodat": _plain_mode(2),
    "fchmodat2": _plain_mode(2),
    "io_uring_setup": _MISSING,
    "io_uring_enter": _MISSING,
    "io_uring_register": _MISSING,
    "add_key": _MISSING,
    "request_key": _MISSING,
    "keyctl": _MISSING,
    "bpf": _FORBIDDEN,
    "perf_event_open": _FORBIDDEN,
    "userfaultfd": _FORBIDDEN,
    "ioctl": _no_typing,
    "socket": _own_network,
    "fallocate": _no_hidden_room,
}
_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "openat2": 437,
    "fchmodat2": 452,
}
MACHINES: dict[str, Machine] = {
    "x86_64": Machine(
        0xC000003E,
        {
            "open": 2, "ioctl": 16, "socket": 41, "creat": 85, "chmod": 90, "fchmod": 91, "mknod": 133, "add_key": 248,
            "request_key": 249, "keyctl": 250, "openat": 257, "mknodat": 259, "fchmodat": 268,
            "fallocate": 285, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
        } | _EVERYWHERE,
        foreign_from=0x40000000,  # x32
    ),
    "aarch64": Machine(
        0xC00000B7,
        {
            "ioctl": 29, "mknodat": 33, "fallocate": 47, "fchmod": 52, "fchmodat": 53, "openat": 56, "socket": 198,
            "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "bpf": 280, "userfaultfd": 282,
        } | _EVERYWHERE,
    ),
}  # fmt: skip


def this_machine() -> Machine | None:
    """The processor's kind; None where its calls are not known here, and nothing can be confined."""
    return MACHINES.get(platform.machine())


def program(machine: Machine) -> bytes:
    """The filter as seccomp(2) takes it."""
    steps: list[_Step] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 1, 0, machine.audit),
        _refusal(errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine.foreign_from is not None:
        steps += [(_ATLEAST, 0, 1, machine.foreign_from), _refusal(errno.ENOSYS)]
    for name, number in machine.calls.items():
        rule = _RULES[name]()
        steps += [(_EQUAL, 0, len(rule), number), *rule]
    steps.append(_return(_ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
