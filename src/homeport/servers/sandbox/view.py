"""What a confined command sees of the machine: bubblewrap's arguments, made from tables.

The one rule: nothing is there that is not named here. Everything but the home, /tmp and /dev/shm is read-only.

Inside, the command runs as user 1000. Outside, that is the server's own user without any privilege. Where the server
runs as root, that user owns what lies in /proc and the device nodes; so /proc is read-only as a whole, what root alone
may read there is hidden, and the nodes are copies that belong to nobody (see `devices`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SETSID = "/usr/bin/setsid"
_USER = "1000"
_HOST = "homeport"

_ALWAYS = (
    "--unshare-user", "--disable-userns",
    "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
    "--uid", _USER, "--gid", _USER, "--hostname", _HOST,
    "--cap-drop", "ALL", "--new-session", "--die-with-parent",
)  # fmt: skip
# Of /etc, what programs need to run at all; every mount takes time, and none of these tells who works here.
_ETC = ("alternatives", "ld.so.cache", "localtime", "ssl/openssl.cnf")
_ETC_NETWORK = (
    "gai.conf", "host.conf", "pki/ca-trust", "pki/tls/certs", "protocols", "resolv.conf", "services", "ssl/certs",
)  # fmt: skip
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, or folders on older systems
# What only root may read, and root may without any privilege: the kernel asks for the owner alone.
_OWNERS = ("kpagecgroup", "kpagecount", "kpageflags", "pagetypeinfo", "slabinfo", "timer_list", "vmallocinfo")
_PROFILE = r"""if [ "${BASH-}" ]; then PS1='\u@\h:\w\$ '; else PS1='$ '; fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one command sees. `home` on the host is `inside` for it, and the account is called `name`.

    It may change the home only if that is `writable`.

    `folders` are further ones that it may read; `private` ones are hidden wherever they lie in what it sees;
    `devices` are the nodes that stand in for the host's, by their names.
    """

    name: str
    home: Path
    writable: bool = True
    network: bool = False
    folders: tuple[Path, ...] = ()
    private: tuple[Path, ...] = ()
    devices: Mapping[str, Path] = field(default_factory=dict)
    tmp_bytes: int = 64 * 1024 * 1024

    @property
    def inside(self) -> str:
        """The home's name for the command."""
        return f"/home/{self.name}"


def shell() -> str:
    """The shell of commands and sessions."""
    return next((name for name in ("/usr/bin/bash", "/bin/bash") if os.access(name, os.X_OK)), "/bin/sh")


def files(view: View) -> dict[str, bytes]:
    """Small files that are made for each command: it knows of no other account than its own."""
    made = {
        "/etc/passwd": f"{view.name}:x:{_USER}:{_USER}::{view.inside}:{shell()}\nnobody:x:65534:65534::/:/bin/false\n",
        "/etc/group": f"{view.name}:x:{_USER}:\nnogroup:x:65534:\n",
        "/etc/hostname": f"{_HOST}\n",
        "/etc/hosts": f"127.0.0.1 localhost {_HOST}\n::1 localhost {_HOST}\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/profile": _PROFILE,
    }
    return {path: text.encode() for path, text in made.items()}


def arguments(view: View, made: Mapping[str, int]) -> list[str]:
    """bubblewrap's arguments for the view; `made` are descriptors with the contents of `files`."""
    return [
        *_ALWAYS,
        *(() if view.network else ("--unshare-net",)),
        *_system(),
        *_configuration(view.network, made),
        *_kernel(),
        *_nodes(view),
        *_writable(view),
        *_masks(view),
        "--chdir", view.inside,
        "--remount-ro", "/",
    ]  # fmt: skip


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        path = f"/{name}"
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)


def _configuration(network: bool, made: Mapping[str, int]) -> Iterator[str]:
    yield from ("--perms", "0755", "--dir", "/etc")
    for name in (*_ETC, *(_ETC_NETWORK if network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for path, descriptor in made.items():
        yield from ("--perms", "0444", "--file", str(descriptor), path)


def _kernel() -> Iterator[str]:
    yield from ("--proc", "/proc")
    for name in _OWNERS:
        if os.access(f"/proc/{name}", os.R_OK):
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
    yield from ("--remount-ro", "/proc")


def _nodes(view: View) -> Iterator[str]:
    yield from ("--dev", "/dev")
    for name, node in view.devices.items():
        yield from ("--dev-bind", str(node), f"/dev/{name}")
    yield from ("--size", str(view.tmp_bytes), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108 - its own
    yield from ("--remount-ro", "/dev")


def _writable(view: View) -> Iterator[str]:
    yield from ("--size", str(view.tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - its own
    yield from ("--dir", "/var", "--symlink", "../tmp", "/var/tmp", "--dir", "/run")  # noqa: S108
    for folder in view.folders:
        yield from ("--ro-bind-try", str(folder), str(folder))
    yield from ("--bind" if view.writable else "--ro-bind", str(view.home), view.inside)


def _masks(view: View) -> Iterator[str]:
    seen = (Path("/usr"), *view.folders)
    for private in view.private:
        if any(private.is_relative_to(folder) for folder in seen):
            yield from ("--tmpfs", str(private), "--remount-ro", str(private))
