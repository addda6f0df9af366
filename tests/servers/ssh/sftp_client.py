"""An SFTP client that says exactly what a test wants, over asyncssh's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.running import NAME, PASSWORD
from tests.servers.ssh.running_ssh import RunningSsh

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open, Status, Type
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import Reader, string, text, u32, u64

READ, WRITE, APPEND = Open.READ, Open.WRITE, Open.APPEND
CREATE, TRUNCATE, EXCLUSIVE = Open.CREATE, Open.TRUNCATE, Open.EXCLUSIVE
PUT = WRITE | CREATE | TRUNCATE
PATIENCE_S = 60.0


class Failed(Exception):
    """A status other than OK."""

    def __init__(self, status: Status, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Sftp:
    """One session. Requests may be sent without waiting for their answers: `send`, `answer`."""

    def __init__(self, server: RunningSsh, connection: Any, process: Any) -> None:
        self.server = server
        self.connection = connection
        self.process = process
        self.extensions: dict[str, str] = {}
        self._reader = PacketReader(1 << 24)
        self._packets: list[memoryview] = []
        self._number = 0

    @classmethod
    @contextmanager
    def of(
        cls, server: RunningSsh, name: str = NAME, password: str | None = PASSWORD, **options: Any
    ) -> Iterator[Sftp]:
        connection = server.connected(name, password, **options)
        try:
            yield cls.on(server, connection)
        finally:
            server.clients.wait(_aborted(connection))

    @classmethod
    def on(cls, server: RunningSsh, connection: Any, **options: Any) -> Sftp:
        """One more session on a connection."""
        process = server.clients.wait(connection.create_process(subsystem="sftp", encoding=None, **options))
        made = cls(server, connection, process)
        made.write(string(b"\1" + u32(3)))
        reader = Reader(made.packet())
        assert (reader.u8(), reader.u32()) == (Type.VERSION, 3)
        while not reader.ended:
            name = reader.text()
            made.extensions[name] = reader.text()
        return made

    def write(self, data: bytes) -> None:
        async def write() -> None:
            self.process.stdin.write(data)

        self.server.clients.wait(write())

    def packet(self) -> memoryview:
        while not self._packets:
            data = self.server.clients.wait(asyncio.wait_for(self.process.stdout.read(1 << 20), PATIENCE_S))
            if not data:
                raise EOFError
            self._packets += self._reader.receive(data)
        return self._packets.pop(0)

    def send(self, kind: int, *fields: bytes) -> int:
        self._number += 1
        self.write(string(bytes([kind]) + u32(self._number) + b"".join(fields)))
        return self._number

    def answer(self, number: int) -> tuple[Type, Reader]:
        reader = Reader(self.packet())
        kind = Type(reader.u8())
        assert reader.u32() == number
        if kind is Type.STATUS:
            status, sentence = Status(reader.u32()), reader.text()
            if status is not Status.OK:
                raise Failed(status, sentence)
        return kind, reader

    def ask(self, kind: int, *fields: bytes) -> Reader:
        return self.answer(self.send(kind, *fields))[1]

    def extended(self, name: str, *fields: bytes) -> Reader:
        return self.ask(Type.EXTENDED, text(name), *fields)

    def open(self, path: str, flags: int, attributes: Attributes | None = None) -> bytes:
        return bytes(self.ask(Type.OPEN, text(path), u32(flags), (attributes or Attributes()).encoded()).bytes_())

    def close(self, handle: bytes) -> None:
        self.ask(Type.CLOSE, string(handle))

    def write_at(self, handle: bytes, offset: int, data: bytes) -> None:
        self.ask(Type.WRITE, string(handle), u64(offset), string(data))

    def read_at(self, handle: bytes, offset: int, size: int) -> bytes:
        return bytes(self.ask(Type.READ, string(handle), u64(offset), u32(size)).bytes_())

    def put(self, path: str, data: bytes) -> None:
        handle = self.open(path, PUT)
        for at in range(0, len(data), 32768):
            self.write_at(handle, at, data[at : at + 32768])
        self.close(handle)

    def get(self, path: str) -> bytes:
        handle, data = self.open(path, READ), b""
        try:
            while True:
                data += self.read_at(handle, len(data), 32768)
        except Failed as error:
            if error.status is not Status.EOF:
                raise
        self.close(handle)
        return data

    def stat(self, path: str, kind: Type = Type.STAT) -> Attributes:
        return Attributes.read(self.ask(kind, text(path)))

    def handle_stat(self, handle: bytes) -> Attributes:
        return Attributes.read(self.ask(Type.FSTAT, string(handle)))

    def set_stat(self, path: str, attributes: Attributes) -> None:
        self.ask(Type.SETSTAT, text(path), attributes.encoded())

    def handle_set_stat(self, handle: bytes, attributes: Attributes) -> None:
        self.ask(Type.FSETSTAT, string(handle), attributes.encoded())

    def names(self, path: str) -> list[tuple[str, str, Attributes]]:
        """Name, line and attributes of a folder's entries, those with dots included."""
        handle = bytes(self.ask(Type.OPENDIR, text(path)).bytes_())
        found = []
        try:
            while True:
                reader = self.ask(Type.READDIR, string(handle))
                found += [(reader.text(), reader.text(), Attributes.read(reader)) for _ in range(reader.u32())]
        except Failed as error:
            if error.status is not Status.EOF:
                raise
        self.close(handle)
        return found

    def list(self, path: str = "/") -> list[str]:
        return sorted(name for name, _, _ in self.names(path) if name not in (".", ".."))

    def path(self, kind: int, *fields: bytes) -> str:
        """The one name that REALPATH and its like answer with."""
        reader = self.ask(kind, *fields)
        assert reader.u32() == 1
        return reader.text()


__all__ = ["APPEND", "CREATE", "EXCLUSIVE", "PUT", "READ", "TRUNCATE", "WRITE", "Failed", "Sftp"]


async def _aborted(connection: Any) -> None:
    connection.abort()  # in the loop's own thread, as asyncio's debug mode insists
    await connection.wait_closed()
