"""An SSH server in memory with an SFTP subsystem that keeps files in a dict, and that a test can teach to misbehave.

with ScriptedSshd() as server:
    server.files["/a"] = b"data"
    server.answers[requests.Stat] = lambda request: replies.status(request.id, Status.FAILURE, "no")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any

import asyncssh

from homeport.protocols.sftp import replies, requests
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open, Status
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import u64

PATIENCE_S = 20.0
FOLDER, FILE, LINK = 0o040755, 0o100644, 0o120777
POSIX_RENAME = "posix-rename@openssh.com"

Answers = dict[type, Callable[[Any], bytes]]


@cache
def key(kind: str = "ssh-ed25519", number: int = 0) -> asyncssh.SSHKey:
    """A key; `number` tells those of one kind apart."""
    return asyncssh.generate_private_key(kind)


class ScriptedSshd:
    """`requests` is the log of everything asked; `greeting` are raw bytes sent in place of an SFTP version."""

    def __init__(self) -> None:
        self.host_keys = [key()]
        self.version = "OpenSSH_9.9"
        self.password = "right"
        self.keyboard_only = False
        self.authorized: list[asyncssh.SSHKey] = []
        self.files: dict[str, bytearray] = {}
        self.folders: set[str] = {"/"}
        self.links: dict[str, str] = {}
        self.times: dict[str, int] = {}
        self.extensions: list[tuple[str, str]] = [(POSIX_RENAME, "1")]
        self.greeting: bytes | None = None
        self.answers: Answers = {}
        self.requests: list[Any] = []
        self.logins: list[tuple[str, str]] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.run: Callable[[asyncssh.SSHServerProcess[bytes]], Any] | None = None
        self.subsystem = True
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="scripted-sshd", daemon=True)

    def __enter__(self) -> ScriptedSshd:
        self._thread.start()
        self.call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def cut(self) -> None:
        """Drop every connection."""

        async def drop() -> None:
            for connection in self.connections:
                connection.abort()

        self.call(drop())

    def count(self, kind: type) -> int:
        return sum(isinstance(request, kind) for request in self.requests)

    def answer(self, request: Any) -> bytes:
        """The answer to one request: a test's own, or that of the files."""
        self.requests.append(request)
        taught = self.answers.get(type(request))
        return taught(request) if taught is not None else self.usual(request)

    def usual(self, request: Any) -> bytes:
        """What a well-behaved server says."""
        return _USUAL[type(request)](self, request)

    def attributes(self, path: str) -> Attributes | None:
        if path in self.links:
            return Attributes(0, (0, 0), LINK, (0, 0))
        if path in self.folders:
            return Attributes(4096, (0, 0), FOLDER, (0, 1000))
        if path in self.files:
            return Attributes(len(self.files[path]), (0, 0), FILE, (0, self.times.get(path, 1_000_000_000)))
        return None

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._listener = await asyncssh.create_server(
            lambda: _Server(self),
            "127.0.0.1",
            0,
            server_host_keys=self.host_keys,
            server_version=self.version,
            process_factory=self.run,
            encoding=None,
            allow_scp=False,
        )
        self.port = self._listener.get_port()

    async def _end(self) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.abort()
        await self._listener.wait_closed()
        await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Server(asyncssh.SSHServer):
    def __init__(self, script: ScriptedSshd) -> None:
        self.script = script

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.script.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.script.logins.append(("begin", username))
        return True

    def password_auth_supported(self) -> bool:
        return not self.script.keyboard_only

    def kbdint_auth_supported(self) -> bool:
        return self.script.keyboard_only

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, responses[0])

    def public_key_auth_supported(self) -> bool:
        return bool(self.script.authorized)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.script.logins.append(("key", username))
        return any(key.public_data == known.public_data for known in self.script.authorized)

    def validate_password(self, username: str, password: str) -> bool:
        self.script.logins.append(("password", password))
        return password == self.script.password

    def session_requested(self) -> Any:
        if self.script.run is not None:
            return True  # the process factory
        return _Session(self.script)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, script: ScriptedSshd) -> None:
        self.script = script
        self.reader = PacketReader()
        self.has_begun = False

    def connection_made(self, chan: Any) -> None:
        self.channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp" and self.script.subsystem

    def data_received(self, data: bytes, datatype: Any) -> None:
        for packet in self.reader.receive(data):
            if not self.has_begun:
                self.has_begun = True
                self.channel.write(self.script.greeting or replies.version(self.script.extensions))
            elif answer := self.script.answer(requests.parse(packet)):
                self.channel.write(answer)

    def eof_received(self) -> bool:
        return False


# --- what a well-behaved server does ---


def _missing(request: Any) -> bytes:
    return replies.status(request.id, Status.NO_SUCH_FILE, "No such file")


def _ok(request: Any) -> bytes:
    return replies.status(request.id, Status.OK, "")


def _stat(script: ScriptedSshd, request: Any) -> bytes:
    path = request.path
    if isinstance(request, requests.Stat):
        path = script.links.get(path, path)
    found = script.attributes(path)
    return _missing(request) if found is None else replies.attributes(request.id, found)


def _handle_stat(script: ScriptedSshd, request: Any) -> bytes:
    found = script.attributes(request.handle.decode())
    assert found is not None
    return replies.attributes(request.id, found)


def _open(script: ScriptedSshd, request: Any) -> bytes:
    if request.path not in script.files:
        if not request.flags & Open.CREATE:
            return _missing(request)
        script.files[request.path] = bytearray()
    if request.flags & Open.TRUNCATE:
        script.files[request.path] = bytearray()
    return replies.handle(request.id, request.path.encode("utf-8", "surrogateescape"))


def _read(script: ScriptedSshd, request: Any) -> bytes:
    data = bytes(script.files[request.handle.decode()][request.offset : request.offset + request.size])
    if not data:
        return replies.status(request.id, Status.EOF, "")
    return replies.data_head(request.id, len(data)) + data


def _write(script: ScriptedSshd, request: Any) -> bytes:
    file = script.files[request.handle.decode()]
    file[request.offset : request.offset + len(request.data)] = request.data
    return _ok(request)


def _open_folder(script: ScriptedSshd, request: Any) -> bytes:
    if request.path not in script.folders:
        return _missing(request)
    script.times.pop(f"listed {request.path}", None)
    return replies.handle(request.id, request.path.encode())


def _read_folder(script: ScriptedSshd, request: Any) -> bytes:
    folder = request.handle.decode()
    if script.times.setdefault(f"listed {folder}", 0):
        return replies.status(request.id, Status.EOF, "")
    script.times[f"listed {folder}"] = 1
    above = folder.rstrip("/") + "/"
    paths = [path for path in (*script.files, *script.folders, *script.links) if path.startswith(above)]
    names = [path[len(above) :] for path in paths if path != above and "/" not in path[len(above) :]]
    entries = [replies.Name(".", "", Attributes()), replies.Name("..", "", Attributes())]
    entries += [replies.Name(name, "", script.attributes(above + name) or Attributes()) for name in sorted(names)]
    return replies.names(request.id, entries)


def _rename(script: ScriptedSshd, request: Any) -> bytes:
    if request.source not in script.files:
        return _missing(request)
    if isinstance(request, requests.Rename) and request.target in script.files:
        return replies.status(request.id, Status.FAILURE, "Failure")
    script.files[request.target] = script.files.pop(request.source)
    return _ok(request)


def _remove(script: ScriptedSshd, request: Any) -> bytes:
    gone = script.files.pop(request.path, None) is not None or script.links.pop(request.path, None) is not None
    return _ok(request) if gone else _missing(request)


def _make_folder(script: ScriptedSshd, request: Any) -> bytes:
    if script.attributes(request.path) is not None:
        return replies.status(request.id, Status.FAILURE, "Failure")
    script.folders.add(request.path)
    return _ok(request)


def _remove_folder(script: ScriptedSshd, request: Any) -> bytes:
    script.folders.discard(request.path)
    return _ok(request)


def _set_stat(script: ScriptedSshd, request: Any) -> bytes:
    script.times[request.path] = request.attributes.times[1]
    return _ok(request)


_USUAL: dict[type, Callable[[ScriptedSshd, Any], bytes]] = {
    requests.Stat: _stat,
    requests.LinkStat: _stat,
    requests.HandleStat: _handle_stat,
    requests.OpenFile: _open,
    requests.Close: lambda _, request: _ok(request),
    requests.Read: _read,
    requests.Write: _write,
    requests.OpenFolder: _open_folder,
    requests.ReadFolder: _read_folder,
    requests.Rename: _rename,
    requests.PosixRename: _rename,
    requests.Remove: _remove,
    requests.MakeFolder: _make_folder,
    requests.RemoveFolder: _remove_folder,
    requests.SetStat: _set_stat,
    requests.RealPath: lambda _, request: replies.names(request.id, [replies.Name("/", "", Attributes())]),
    requests.FileSystem: lambda _, request: replies.extended(request.id, b"".join(map(u64, (1, 2, 30, 20, 10)))),
    requests.Limits: lambda _, request: replies.extended(request.id, b"".join(map(u64, (0, 100_000, 0, 0)))),
    requests.Unknown: lambda _, request: replies.status(request.id, Status.OP_UNSUPPORTED, ""),
}
