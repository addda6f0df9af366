"""HPTP's engine under atheris: whatever comes, nothing is raised and nothing hoarded.

    pip install atheris; PYTHONPATH=src:. python tests/fuzz/hptp_engine.py -max_total_time=3600 corpus/

Each input is one of three things. A short life of one engine: its role, how far the proof is, then frames (well formed
or not), arbitrary bytes, and what the program does in between. Or a client and a server of ours that talk to each
other: whatever their programs do, neither may call the other's frames a fault. Or words of the proof, names,
certificates.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

atheris: Any = importlib.import_module("atheris")  # not among the test tools: it is compiled for some Pythons only

with atheris.instrument_imports(include=["homeport.protocols"]):
    from homeport.protocols import scram
    from homeport.protocols.channel_binding import server_end_point
    from homeport.protocols.hptp.connection import Connection
    from homeport.protocols.hptp.events import Broken, CancelReceived, DataReceived, RequestReceived
    from homeport.protocols.hptp.faults import Misuse
    from homeport.protocols.hptp.frames import HEADER, FrameType
    from homeport.protocols.hptp.limits import Limits
    from homeport.protocols.hptp.names import from_wire, to_wire
    from homeport.protocols.hptp.records import in_records
    from homeport.protocols.hptp.states import Role
    from homeport.protocols.hptp.strict_json import encode

LIMITS = Limits(software="fuzz", max_payload=65536, stream_window=4096, connection_window=8192, max_streams=4)
HELLO = b"".join(Connection(Role.CLIENT, LIMITS).take_output())
KINDS = list(FrameType)
PAYLOADS = [
    b"{}",
    b'{"op":"put","path":"/a"}',
    b'{"op":"get"}',
    b'{"op":"walk","path":{"b":"/w=="}}',
    b'{"reason":"window-overrun"}',
    b'{"code":"x","message":"y","last_stream":1}',
    b'{"code":"going-away","message":"","last_stream":9223372036854775807}',
    b'{"items":[{}]}',
    b'{"items":[{"a":"\\ud800"}]}',
    b'{"items":[[]]}',
    b'{"a":1,"a":2}',
    b'{"a":' + b"[" * 20 + b"]" * 20 + b"}",
    b'{"a":9223372036854775808}',
    b'{"a":NaN}',
    b'{"a":1.5}',
    b"\0\0\x10\0",
    b"\x7f\xff\xff\xff",
    b"12345678",
]
READERS: list[Callable[[str], Any]] = [
    scram.ClientFirst.read,
    scram.ServerFirst.read,
    scram.ClientFinal.read,
    scram.ServerFinal.read,
]
NUMBERS = [-1, 0, 1, 4095, 4096, 8192, 65535, 65536, 1 << 20, (1 << 20) + 1, (1 << 31) - 1, 1 << 31]
CERTIFICATE = bytes.fromhex(
    # The skeleton of one: what is signed, an algorithm (RSASSA-PSS with SHA-512), no signature.
    "302c3003020101302306092a864886f70d01010a3016a00f300d06096086480165030402030500a2030201200300"
)


def hello(given: Any) -> bytes:
    """A HELLO whose numbers may be anything."""
    said: dict[str, Any] = {"hptp": 1, "software": "s" * given.PickValueInList([0, 4, 200, 201])}
    for name in ("max_payload", "stream_window", "connection_window", "max_streams"):
        honest = given.ConsumeProbability() < 0.8
        said[name] = getattr(LIMITS, name) if honest else given.PickValueInList(NUMBERS)
    payload = encode(said)
    wire: bytes = HEADER.pack(len(payload), FrameType.HELLO, 0, 0, 0) + payload
    return wire


def payload_of(given: Any, kind: FrameType) -> bytes:
    """One that its kind may have, another's, or anything."""
    choice = given.ConsumeIntInRange(0, 9)
    if kind is FrameType.DATA and choice < 6:
        return bytes(given.ConsumeIntInRange(0, 5000))
    if kind is FrameType.WINDOW and choice < 6:
        credit: int = given.PickValueInList([0, 1, 100, 4096, 1 << 20, (1 << 31) - 1, (1 << 32) - 1])
        return credit.to_bytes(4, "big")
    if kind in (FrameType.PING, FrameType.PONG) and choice < 4:
        return bytes(given.PickValueInList([7, 8, 10_000, 16_384, 16_385]))
    picked: bytes = given.PickValueInList(PAYLOADS)
    return picked if choice < 8 else bytes(given.ConsumeBytes(given.ConsumeIntInRange(0, 60)))


def frame(given: Any) -> bytes:
    """A frame whose header is honest more often than not."""
    kind = given.PickValueInList(KINDS)
    payload = payload_of(given, kind)
    length = len(payload) if given.ConsumeProbability() < 0.9 else given.ConsumeIntInRange(0, 2**32 - 1)
    stream = (
        given.ConsumeIntInRange(0, 6) if given.ConsumeProbability() < 0.95 else given.ConsumeIntInRange(0, 2**32 - 1)
    )
    wire: bytes = HEADER.pack(length, kind, 0, 0, stream) + payload
    return wire


ACTS: list[Callable[[Connection, Any], object]] = [
    lambda engine, given: engine.open(given.PickValueInList(["put", "get", "list"]), {}),
    lambda engine, given: engine.send_head(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_items(given.ConsumeIntInRange(0, 6), [{}]),
    lambda engine, given: engine.send_data(given.ConsumeIntInRange(0, 6), b"x" * given.ConsumeIntInRange(0, 5000)),
    lambda engine, given: engine.send_end(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_result(given.ConsumeIntInRange(0, 6), {}),
    lambda engine, given: engine.send_error(given.ConsumeIntInRange(0, 6), "x", "y"),
    lambda engine, given: engine.cancel(given.ConsumeIntInRange(0, 6), "x"),
    lambda engine, given: engine.ping(bytes(given.PickValueInList([7, 8, 16_384]))),
    lambda engine, given: engine.send_auth({"message": "x"}),
    lambda engine, given: engine.open("put", {"path": to_wire(given.ConsumeUnicode(4))}),
    lambda engine, given: engine.send_items(given.ConsumeIntInRange(0, 6), [{"a": "x" * 30_000}] * 3),
    lambda engine, given: send_all(engine, given.ConsumeIntInRange(0, 6)),
]
ENDS: list[Callable[[Connection, Any], object]] = [
    lambda engine, given: engine.go_away("x", "y"),
    lambda engine, given: engine.receive_eof(),
    lambda engine, given: engine.authenticated(),
]


def send_all(engine: Connection, stream: int) -> None:
    """What credit there is must be taken."""
    credit = engine.credit(stream)
    assert not credit or engine.is_open(stream)
    if credit:
        try:
            engine.send_data(stream, bytes(credit))
        except Misuse as misuse:
            raise AssertionError("credit that is not good") from misuse


class Life:
    """One engine with the account that is kept of it."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.engine = Connection(given.PickValueInList(list(Role)), LIMITS)
        self.unread: list[DataReceived] = []
        self.open: set[int] = set()
        self.heard = 0
        self.broken = 0
        progress = given.ConsumeIntInRange(0, 9)  # of the login, before the steps
        if progress > 0:
            self.receive(HELLO if progress > 2 else hello(given))
        if progress > 1 and not self.engine.closed:
            self.engine.authenticated()

    def receive(self, wire: bytes) -> None:
        step = self.given.ConsumeIntInRange(1, 64) if self.given.ConsumeBool() else len(wire) or 1
        for at in range(0, len(wire), step):
            self.engine.receive(wire[at : at + step])
        self.heard += len(wire)
        self.hear()

    def hear(self) -> None:
        for event in self.engine.events():
            if isinstance(event, DataReceived):
                self.unread.append(event)
            elif isinstance(event, RequestReceived):
                assert event.stream not in self.open, "one request for each stream"
                self.open.add(event.stream)
            elif isinstance(event, CancelReceived):
                assert event.stream in self.open, "nothing is cancelled that was not asked"
            elif isinstance(event, Broken):
                self.broken += 1

    def step(self) -> None:
        given = self.given
        choice = given.ConsumeIntInRange(0, 9)
        if choice < 5:
            self.receive(frame(given))
        elif choice == 5:
            self.receive(given.ConsumeBytes(given.ConsumeIntInRange(0, 40)))
        elif choice == 6 and self.unread:
            event = self.unread.pop()
            self.engine.consumed(event.stream, len(event.data))
        elif choice == 7:
            take(self.engine)
        else:
            with suppress(Misuse, ValueError):
                given.PickValueInList(ACTS if given.ConsumeProbability() < 0.9 else ENDS)(self.engine, given)
            self.hear()
        self.check()

    def check(self) -> None:
        assert self.broken == self.engine.closed
        assert self.engine.streams <= LIMITS.max_streams or self.engine.role is Role.CLIENT
        assert sum(len(event.data) for event in self.unread) <= LIMITS.connection_window
        assert not self.engine.closed or not self.engine.wants_data


def take(engine: Connection) -> bytes:
    """What it has to say, which filling TLS records does not change."""
    output = engine.take_output()
    said = b"".join(output)
    assert b"".join(in_records(output)) == said
    assert not engine.output_size
    return said


class Talk:
    """A client and a server of ours. Whatever their programs do, they understand each other."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.engines = [Connection(role, LIMITS) for role in (Role.CLIENT, Role.SERVER)]
        self.wires = [bytearray(), bytearray()]  # on their way to each
        self.unread: list[list[DataReceived]] = [[], []]
        for number in (0, 1):
            self.say(number)
        for number in (0, 1):
            self.deliver(number, 1 << 20)
            self.engines[number].authenticated()

    def say(self, number: int) -> None:
        self.wires[1 - number] += take(self.engines[number])

    def deliver(self, number: int, most: int) -> None:
        wire, engine = self.wires[number], self.engines[number]
        engine.receive(bytes(wire[:most]))
        del wire[:most]
        for event in engine.events():
            assert not isinstance(event, Broken), event
            if isinstance(event, DataReceived):
                self.unread[number].append(event)

    def step(self) -> None:
        given = self.given
        number = given.ConsumeIntInRange(0, 1)
        choice = given.ConsumeIntInRange(0, 9)
        if choice < 5:
            with suppress(Misuse, ValueError):
                given.PickValueInList(ACTS)(self.engines[number], given)
        elif choice < 7:
            self.say(number)
        elif choice < 9 or not self.unread[number]:
            self.deliver(number, given.PickValueInList([1, 11, 12, 13, 1000, 1 << 20]))
        else:
            event = self.unread[number].pop()
            self.engines[number].consumed(event.stream, len(event.data))


def prove(given: Any) -> None:
    """The proof's messages between two who know the password, one of them spoiled."""
    binding = scram.Binding("tls-server-end-point", b"hash")
    keys = scram.ClientKeys.derive(b"pencil", b"salt", 1)
    client = scram.ScramClient(given.ConsumeUnicodeNoSurrogates(5).replace("\0", "") or "u", "nonce", binding)
    first = scram.ClientFirst.read(client.first())
    server = scram.ServerFirst.make("noncefresh", b"salt", given.PickValueInList([1, 4096, 600_000, 1 << 40]))
    answer = client.answer(spoiled(given, str(server)), lambda salt, rounds: keys, 1)
    final = scram.ClientFinal.read(spoiled(given, answer))
    final.answers(first, server, binding.data)
    signature = keys.signature(scram.auth_message(first, server, final.without_proof))
    client.verify(spoiled(given, str(scram.ServerFinal(signature))))


def spoiled(given: Any, text: str) -> str:
    if given.ConsumeProbability() < 0.7:
        return text
    at = given.ConsumeIntInRange(0, len(text))
    return text[:at] + str(given.ConsumeUnicodeNoSurrogates(3)) + text[at + given.ConsumeIntInRange(0, 3) :]


def words(given: Any) -> None:
    """Texts and bytes of the login, and names."""
    with suppress(scram.ScramMalformed, scram.ScramRefused):
        prove(given)
    with suppress(scram.ScramMalformed):
        given.PickValueInList(READERS)(given.ConsumeUnicodeNoSurrogates(200))
    certificate = bytearray(CERTIFICATE)
    for _ in range(given.ConsumeIntInRange(0, 3)):
        certificate[given.ConsumeIntInRange(0, len(certificate) - 1)] = given.ConsumeIntInRange(0, 255)
    with suppress(ValueError):
        server_end_point(bytes(certificate[: given.ConsumeIntInRange(0, len(certificate))]))
    with suppress(ValueError):
        from_wire({"b": given.ConsumeUnicodeNoSurrogates(20)})
    name = given.ConsumeUnicode(5).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    assert from_wire(to_wire(name)) == name


def test_one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    kind = given.ConsumeIntInRange(0, 9)
    if kind == 0:
        words(given)
        return
    life: Life | Talk = Life(given) if kind < 6 else Talk(given)
    while given.remaining_bytes() and not (isinstance(life, Life) and life.engine.closed):
        life.step()


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
