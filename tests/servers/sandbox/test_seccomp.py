"""The filter, run here as the kernel runs it (seccomp(2)): every rule on every kind of processor."""

from __future__ import annotations

import errno
import os
import stat
import struct

import pytest

from homeport.servers.sandbox import seccomp
from homeport.servers.sandbox.seccomp import MACHINES, program

ALLOWED = 0x7FFF0000
MADE = os.O_CREAT | os.O_WRONLY
TMPFILE = 0o20000000
SETUID = stat.S_ISUID | 0o755
SETGID = stat.S_ISGID | 0o755


def refused(number: int) -> int:
    return 0x00050000 | number


def verdict(code: bytes, machine: int, call: int, *arguments: int) -> int:
    """What the filter says to a call; the kernel's interpreter in twenty lines."""
    padded = [argument & (2**64 - 1) for argument in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", call, machine, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", code))
    place = value = 0
    while True:
        operation, yes, no, operand = steps[place]
        place += 1
        if operation == 0x06:
            return int(operand)
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
            continue
        true = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
        place += yes if true else no


@pytest.mark.parametrize("name", sorted(MACHINES))
@pytest.mark.parametrize(
    ("call", "arguments", "wanted"),
    [
        ("openat", (-100, 0, MADE, 0o644), ALLOWED),
        ("openat", (-100, 0, MADE, SETUID), refused(errno.EPERM)),
        ("openat", (-100, 0, MADE, SETGID), refused(errno.EPERM)),
        ("openat", (-100, 0, TMPFILE | os.O_RDWR, SETUID), refused(errno.EPERM)),
        ("openat", (-100, 0, os.O_RDONLY, SETUID), ALLOWED),  # no mode without O_CREAT: a register's old content
        ("open", (0, MADE, SETUID), refused(errno.EPERM)),
        ("open", (0, os.O_RDONLY, SETUID), ALLOWED),
        ("open", (0, MADE, 0o1777), ALLOWED),
        ("creat", (0, SETUID), refused(errno.EPERM)),
        ("mknod", (0, SETUID), refused(errno.EPERM)),
        ("mknodat", (-100, 0, SETUID), refused(errno.EPERM)),
        ("chmod", (0, SETUID), refused(errno.EPERM)),
        ("chmod", (0, 0o1777), ALLOWED),
        ("fchmod", (3, SETGID), refused(errno.EPERM)),
        ("fchmod", (3, 0o755), ALLOWED),
        ("fchmodat", (-100, 0, SETUID), refused(errno.EPERM)),
        ("fchmodat2", (-100, 0, SETUID, 0), refused(errno.EPERM)),
        ("fchmodat2", (-100, 0, 0o600, 0), ALLOWED),
        ("openat2", (-100, 0, 0, 24), refused(errno.ENOSYS)),
        ("io_uring_setup", (8, 0), refused(errno.ENOSYS)),
        ("keyctl", (0, -3), refused(errno.ENOSYS)),
        ("ioctl", (0, 0x5412), refused(errno.EPERM)),
        ("ioctl", (0, 0xFFFFFFFF_00005412), refused(errno.EPERM)),  # CVE-2019-10063: the upper half counts for nothing
        ("ioctl", (0, 0x541C), refused(errno.EPERM)),
        ("ioctl", (0, 0x5413), ALLOWED),
        ("socket", (1, 1, 0), ALLOWED),
        ("socket", (2, 1, 0), ALLOWED),
        ("socket", (10, 1, 0), ALLOWED),
        ("socket", (16, 3, 0), ALLOWED),
        ("socket", (40, 1, 0), refused(errno.EAFNOSUPPORT)),
        ("socket", (0xFFFFFFFF_00000028, 1, 0), refused(errno.EAFNOSUPPORT)),
        ("socket", (38, 5, 0), refused(errno.EAFNOSUPPORT)),
        ("fallocate", (3, 0, 0, 4096), ALLOWED),
        ("fallocate", (3, 0x01, 0, 4096), refused(errno.EOPNOTSUPP)),
        ("fallocate", (3, 0x11, 0, 4096), refused(errno.EOPNOTSUPP)),
        ("fallocate", (3, 0x03, 0, 4096), ALLOWED),
        ("bpf", (), refused(errno.EPERM)),
        ("perf_event_open", (), refused(errno.EPERM)),
        ("userfaultfd", (), refused(errno.EPERM)),
    ],
)
def test_a_call(name: str, call: str, arguments: tuple[int, ...], wanted: int) -> None:
    machine = MACHINES[name]
    if call in machine.calls:
        assert verdict(program(machine), machine.audit, machine.calls[call], *arguments) == wanted
    else:
        assert name == "aarch64"
        assert call in ("open", "creat", "mknod", "chmod")  # it has the newer ones alone


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_other_calls_are_allowed_and_other_machines_calls_are_not(name: str) -> None:
    machine = MACHINES[name]
    code = program(machine)
    known = set(machine.calls.values())
    assert {verdict(code, machine.audit, number, SETUID, SETUID) for number in range(600) if number not in known} == {
        ALLOWED
    }
    assert verdict(code, 0x40000003, 5, 0, MADE, SETUID) == refused(errno.ENOSYS)  # i386 has other numbers
    if machine.foreign_from is not None:
        assert verdict(code, machine.audit, machine.foreign_from + 90, 0, SETUID) == refused(errno.ENOSYS)


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert seccomp.this_machine() is MACHINES["aarch64"]
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert seccomp.this_machine() is None
