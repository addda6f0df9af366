"""Every frame in every state of both roles: heard, or a fault with a code of the table; never anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.protocols.hptp.vectors import SMALL, VECTORS, Pair, sent

from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import Broken
from homeport.protocols.hptp.faults import FaultCode
from homeport.protocols.hptp.frames import FrameType
from homeport.protocols.hptp.states import HALVES, SENDS, Half, Phase, Role

_WITHOUT_ANY = {FrameType.PING: b"12345678", FrameType.PONG: b"12345678", FrameType.WINDOW: b"\0\0\0\1"}
_CONTROL = {
    FrameType.HELLO: bytes.fromhex(VECTORS["frames"][0]["hex"])[12:],
    FrameType.GOAWAY: b'{"code":"x","message":"","last_stream":9}',
    FrameType.REQUEST: b'{"op":"put"}',
    FrameType.DATA: b"x",
    FrameType.ITEMS: b'{"items":[]}',
    FrameType.ERROR: b'{"code":"x","message":""}',
    FrameType.CANCEL: b'{"reason":""}',
}


def frame(kind: FrameType, stream: int) -> bytes:
    payload = _WITHOUT_ANY.get(kind) or _CONTROL.get(kind, b"{}")
    return len(payload).to_bytes(4, "big") + bytes([kind, 0, 0, 0]) + stream.to_bytes(4, "big") + payload


def in_phase(role: Role, phase: Phase) -> Connection:
    engine = Connection(role, SMALL)
    if phase is not Phase.GREETING:
        engine.receive(frame(FrameType.HELLO, 0))
    if phase is Phase.OPEN:
        engine.authenticated()
    if phase is Phase.CLOSED:
        engine.close()
    engine.events()
    sent(engine)
    return engine


@pytest.mark.parametrize("kind", FrameType)
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("role", Role)
def test_every_frame_in_every_phase(role: Role, phase: Phase, kind: FrameType) -> None:
    engine = in_phase(role, phase)
    engine.receive(frame(kind, 0 if kind < FrameType.REQUEST else 1))
    broken = [event for event in engine.events() if isinstance(event, Broken)]
    if phase is Phase.CLOSED:
        assert not broken
    elif kind not in SENDS[role.peer][phase]:
        assert [event.code for event in broken] == [FaultCode.FRAME_UNEXPECTED]
    elif kind >= FrameType.REQUEST and kind is not FrameType.REQUEST:
        assert [event.code for event in broken] == [FaultCode.STREAM_MALFORMED]
    else:
        assert not broken


def _put(pair: Pair) -> None:
    pair.client.open("put", {})
    pair.flow()


def _ended(pair: Pair) -> None:
    _put(pair)
    pair.client.send_end(1, {})
    pair.flow()


def _cancelled(pair: Pair) -> None:
    _put(pair)
    pair.client.cancel(1, "")
    pair.flow()


def _headed(pair: Pair) -> None:
    _put(pair)
    pair.server.send_head(1, {})
    pair.flow()


def _listing(pair: Pair) -> None:
    _put(pair)
    pair.server.send_items(1, [{}])
    pair.flow()


STATES: dict[Half, tuple[Role, Callable[[Pair], None]]] = {
    Half.BODY: (Role.SERVER, _put),
    Half.DONE: (Role.SERVER, _ended),
    Half.CANCELLED: (Role.SERVER, _cancelled),
    Half.SILENT: (Role.CLIENT, _put),
    Half.BYTES: (Role.CLIENT, _headed),
    Half.LISTING: (Role.CLIENT, _listing),
}


def test_no_state_is_left_out() -> None:
    assert set(STATES) | {Half.OVER} == set(HALVES) == set(Half)


@pytest.mark.parametrize("kind", [kind for kind in FrameType if kind >= FrameType.REQUEST] + [FrameType.WINDOW])
@pytest.mark.parametrize("half", STATES)
def test_every_frame_in_every_state_of_a_stream(half: Half, kind: FrameType) -> None:
    role, reach = STATES[half]
    pair = Pair()
    reach(pair)
    engine = pair.client if role is Role.CLIENT else pair.server
    engine.receive(frame(kind, 1))
    broken = [event for event in engine.events() if isinstance(event, Broken)]
    if kind not in HALVES[half]:
        expected = FaultCode.STREAM_MALFORMED if kind is FrameType.REQUEST and role is Role.SERVER else None
        assert [event.code for event in broken] == [expected or FaultCode.FRAME_UNEXPECTED]
    else:
        assert not broken
