"""What doctor looks at in the machine: ports, disk, kernel, limits, clock. One rule: a check leaves nothing behind."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from homeport.config.listening import listening
from homeport.config.units import human_size
from homeport.daemon.finding import Check, Patient, Result, fail, warn, well

_FEW_PASSIVE_PORTS = 10
_FEW_DESCRIPTORS = 4096
_LITTLE_DISK_BYTES = 1 << 30
_NO_DISK_BYTES = 100 << 20
_FEW_INODES = 10_000
_CONNECT_TIMEOUT_S = 3.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_SIZEOF_TIMEX = 512  # generous


def _ports(who: Patient) -> Iterator[Result]:
    if who.status is not None:
        yield from _reachable(who.status["services"])
        return
    taken = [
        service for service in listening(who.settings) if service.port and not _is_free(service.port, service.transport)
    ]
    for service in taken:
        key = service.key
        yield fail(f"port {service.port} ({key}) is taken", f"stop what uses it, or choose another {key}")
    if not taken:
        yield well("all ports are free")


def _reachable(services: dict[str, dict[str, object]]) -> Iterator[Result]:
    for name, service in services.items():
        host, port = service["host"], service["port"]
        if isinstance(host, str) and isinstance(port, int):
            yield _REACHED[str(service["transport"])](name, host, port)


def _answers(name: str, host: str, port: int) -> Result:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        socket.create_connection((target, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return fail(f"{name} does not answer on {target} port {port}: {error}", "see the firewall and the server's log")
    return well(f"{name} answers on {target} port {port}")


def _is_held(name: str, host: str, port: int) -> Result:
    """Nobody need answer a datagram, but a service that lives holds its port."""
    if _is_free(port, "udp", host):
        return fail(f"{name} does not hold UDP port {port}", "see the server's log, and restart it")
    return well(f"{name} holds UDP port {port}; a firewall must let it in")


_REACHED = {"tcp": _answers, "udp": _is_held}


def _is_free(port: int, transport: str = "tcp", host: str = "0.0.0.0") -> bool:  # noqa: S104 - for a moment
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:  # never listening; but two sockets for datagrams would share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _passive(who: Patient) -> Iterator[Result]:
    ports = who.settings.ftp.passive_port_numbers()
    if not ports:
        yield warn(
            "passive ports are any: a firewall cannot let them through one by one", "set ftp.passive_ports to a range"
        )
        return
    if len(ports) < _FEW_PASSIVE_PORTS:
        yield warn(f"{len(ports)} passive ports serve as many transfers at once", "widen ftp.passive_ports")
    low, high = _outgoing_range()
    if any(low <= port <= high for port in ports):
        fix = f"choose ports outside {low}-{high}"
        yield warn("the kernel uses some of the passive ports for outgoing connections", fix)
    if who.status is None and (taken := [port for port in ports if not _is_free(port)]):
        yield warn(
            f"{len(taken)} of {len(ports)} passive ports are taken, the first is {taken[0]}", "leave holes for them"
        )
    else:
        yield well(f"{len(ports)} passive ports; a firewall must let them in, beside the service's own port")


def _outgoing_range() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return (32768, 60999)
    return (int(low), int(high))


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    return next(candidate for candidate in (path, *path.parents) if candidate.is_dir())


def _disk(who: Patient) -> Iterator[Result]:
    found = os.statvfs(_existing(who.instance.path(who.settings.storage.homes)))
    free = found.f_bavail * found.f_frsize
    if free < _NO_DISK_BYTES:
        yield fail(f"the disk is full: {human_size(free)} free", "make room; uploads are refused with 452")
    elif free < _LITTLE_DISK_BYTES:
        yield warn(f"only {human_size(free)} of disk are free", "make room")
    else:
        yield well(f"{human_size(free)} of disk are free")
    if found.f_files and found.f_favail < _FEW_INODES:  # some file systems have no fixed number
        yield warn(f"only {found.f_favail} more files fit on the file system (inodes)", "remove small files")


def _attributes(who: Patient) -> Iterator[Result]:
    folder = _existing(who.instance.path(who.settings.storage.homes))
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError) as error:
        yield warn(f"extended attributes could not be tried: {error}", "digests are kept in the database if need be")
        return
    try:
        os.setxattr(fd, "user.homeport.doctor", b"1")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        yield warn("no extended attributes here: digests are kept in the database", "mount with user_xattr for speed")
    else:
        yield well("digests are kept beside the files (extended attributes)")
    finally:
        os.close(fd)


def _openat2(_: Patient) -> Iterator[Result]:
    from homeport.core import openat2

    if openat2.available():
        yield well("the kernel keeps paths inside the homes (openat2)")
    else:
        yield warn(
            "no openat2: paths are walked step by step, which is slower", "use Linux 5.6 or newer, and allow openat2"
        )


def _descriptors(who: Patient) -> Iterator[Result]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = min(who.settings.limits.sessions * 3, _FEW_DESCRIPTORS)
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield warn(
            f"a process may have {hard} files open; full load needs {needed}", "raise it: ulimit -n, or LimitNOFILE="
        )
    else:
        yield well(f"a process may have {'any number of' if hard == resource.RLIM_INFINITY else hard} files open")


def _clock(_: Patient) -> Iterator[Result]:
    state = -1
    with suppress(OSError, AttributeError):
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_SIZEOF_TIMEX))
    if state < 0:
        yield warn("the kernel does not say whether the clock is synchronised", "see that this machine runs NTP")
    elif state == _TIME_ERROR:
        yield warn("the clock is not synchronised", "run chrony, ntpsec or systemd-timesyncd")
    else:
        yield well("the clock is synchronised")


CHECKS: dict[str, Check] = {
    "ports": _ports,
    "passive ports": _passive,
    "disk": _disk,
    "extended attributes": _attributes,
    "openat2": _openat2,
    "open files": _descriptors,
    "clock": _clock,
}
