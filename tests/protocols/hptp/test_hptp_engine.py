"""What the engine does beyond the vectors: credit, cancelling, going away, and a program that makes mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.protocols.hptp.vectors import SMALL, Pair, sent

from homeport.protocols.hptp import strict_json
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    Broken,
    CancelReceived,
    CreditGranted,
    DataReceived,
    EndReceived,
    ErrorReceived,
    GoingAway,
    ItemsReceived,
    RequestReceived,
    ResultReceived,
)
from homeport.protocols.hptp.faults import FaultCode, Misuse, ProtocolFault
from homeport.protocols.hptp.frames import FrameReader, FrameType
from homeport.protocols.hptp.items import frames_of_items
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Phase, Role

KIB = 1024


def frame(kind: FrameType, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + bytes([kind, 0, 0, 0]) + stream.to_bytes(4, "big") + payload


# --- bodies and credit ---


def test_a_body_is_cut_into_frames_of_the_peers_size_without_copies() -> None:
    pair = Pair(server=Limits(max_payload=64 * KIB))
    stream = pair.client.open("put", {"path": "/a"})
    body = bytes(range(256)) * 600
    pair.client.send_data(stream, b"")
    pair.client.send_data(stream, memoryview(body))
    assert pair.client.output_size > len(body)
    buffers = pair.client.take_output()
    sizes = [len(buffer) for buffer in buffers if isinstance(buffer, memoryview)]
    assert sizes == [64 * KIB, 64 * KIB, len(body) - 128 * KIB]
    pair.server.receive(b"".join(buffers))
    request, *pieces = pair.server.events()
    assert request == RequestReceived(stream, "put", {"path": "/a"})
    assert b"".join(piece.data for piece in pieces if isinstance(piece, DataReceived)) == body


def test_how_much_of_a_frame_of_data_is_still_to_come_is_known() -> None:
    pair = Pair()
    stream = pair.client.open("put", {"path": "/a"})
    pair.client.send_data(stream, bytes(40 * KIB))
    output = b"".join(pair.client.take_output())
    assert pair.server.data_left == 0
    pair.server.receive(output[: -30 * KIB])
    assert pair.server.data_left == 30 * KIB
    pair.server.receive(output[-30 * KIB :])
    assert pair.server.data_left == 0


def test_credit_is_spent_and_given_back_in_portions() -> None:
    pair = Pair()
    stream = pair.client.open("put", {"path": "/a"})
    assert pair.client.credit(stream) == 64 * KIB
    pair.client.send_data(stream, bytes(64 * KIB))
    assert pair.client.credit(stream) == 0
    with pytest.raises(Misuse, match="1 bytes of DATA beyond the credit of stream 1"):
        pair.client.send_data(stream, b"x")
    pair.at_server()
    pair.server.consumed(stream, 16 * KIB - 1)
    assert pair.at_client() == []
    pair.server.consumed(stream, 1)
    assert pair.at_client() == [CreditGranted(stream)]
    assert pair.client.credit(stream) == 16 * KIB
    pair.server.consumed(stream, 48 * KIB)
    assert pair.at_client() == [CreditGranted(0), CreditGranted(stream)]
    assert pair.client.credit(stream) == 64 * KIB


def test_a_stream_that_is_never_read_leaves_the_others_their_credit() -> None:
    pair = Pair()
    unread, other = pair.client.open("put", {}), pair.client.open("put", {})
    pair.client.send_data(unread, bytes(64 * KIB))
    for _ in range(20):
        pair.client.send_data(other, bytes(32 * KIB))
        pair.flow()
        pair.server.consumed(other, 32 * KIB)
        pair.flow()
    assert pair.client.credit(unread) == 0
    assert pair.client.credit(other) > 0


def test_an_overrun_of_one_stream_fails_that_stream_alone_at_the_server() -> None:
    pair = Pair()
    bad, good = pair.client.open("put", {}), pair.client.open("put", {})
    pair.flow()
    pair.server.receive(frame(FrameType.DATA, bad, bytes(40 * KIB)))
    pair.server.receive(frame(FrameType.DATA, bad, bytes(40 * KIB)))
    heard = pair.server.events()
    assert heard[-1] == CancelReceived(bad, "window-overrun")
    pair.server.consumed(bad, 40 * KIB)
    pair.server.send_error(bad, "window-overrun", "more came than was granted")
    assert pair.at_client()[-1] == ErrorReceived(bad, "window-overrun", "more came than was granted", {})
    pair.client.send_data(good, b"x")
    pair.client.send_end(good, {})
    assert pair.at_server()[-1] == EndReceived(good, {})
    pair.server.send_result(good, {})
    pair.flow()
    assert (pair.client.streams, pair.server.streams) == (0, 0)


def test_an_overrun_of_one_stream_fails_that_stream_alone_at_the_client() -> None:
    pair = Pair()
    stream = pair.client.open("get", {})
    pair.flow()
    pair.client.receive(frame(FrameType.HEAD, stream, b"{}") + frame(FrameType.DATA, stream, bytes(64 * KIB)))
    pair.client.receive(frame(FrameType.DATA, stream, b"x"))
    assert pair.client.events()[-1] == ErrorReceived(stream, "window-overrun", "more DATA came than was granted", {})
    assert pair.at_server()[-1] == CancelReceived(stream, "window-overrun")
    pair.server.send_result(stream, {})
    assert pair.at_client() == []
    assert pair.client.streams == 0


def test_an_overrun_of_the_connection_ends_it() -> None:
    pair = Pair()
    streams = [pair.client.open("put", {}) for _ in range(2)]
    pair.flow()
    for stream in streams:
        pair.server.receive(frame(FrameType.DATA, stream, bytes(64 * KIB)))
    pair.server.receive(frame(FrameType.DATA, 1, b"x"))
    assert pair.server.events()[-1] == Broken(FaultCode.WINDOW_OVERRUN, "more DATA came than was granted")


def test_a_window_of_zero_for_ever_stops_that_side_alone() -> None:
    pair = Pair(server=Limits(stream_window=0))
    stuck, live = pair.client.open("put", {}), pair.client.open("list", {})
    assert pair.client.credit(stuck) == 0
    pair.at_server()
    pair.server.send_result(live, {})
    assert pair.at_client() == [ResultReceived(live, {})]


def test_memory_is_flat_while_a_frame_trickles() -> None:
    pair = Pair()
    pair.client.open("put", {})
    pair.flow()
    pair.server.receive(frame(FrameType.DATA, 1, bytes(60 * KIB))[:12])
    for _ in range(60 * KIB):
        pair.server.receive(b"x")
        assert len(pair.server.events()) == 1
    assert not pair.server.closed


def test_a_peer_that_reads_no_pongs_is_not_read() -> None:
    pair = Pair()
    pings = frame(FrameType.PING, 0, b"12345678") * 1000
    for _ in range(4):
        assert pair.server.wants_data
        pair.server.receive(pings)
    assert not pair.server.wants_data
    sent(pair.server)
    assert pair.server.wants_data


# --- ends of streams ---


def test_what_was_under_way_when_the_answer_came_is_dropped_with_its_credit() -> None:
    pair = Pair()
    stream = pair.client.open("put", {})
    pair.client.send_data(stream, bytes(40 * KIB))
    pair.at_server()
    pair.server.consumed(stream, 40 * KIB)
    pair.server.send_error(stream, "quota-exceeded", "no room", limit=5)
    pair.client.send_data(stream, b"late")
    assert pair.at_client()[-1] == ErrorReceived(stream, "quota-exceeded", "no room", {"limit": 5})
    assert pair.at_server() == []
    assert not pair.client.is_open(stream)
    pair.client.send_data(stream, b"later still")
    pair.client.send_end(stream, {})
    pair.client.cancel(stream, "")
    assert sent(pair.client) == b""
    assert (pair.client.streams, pair.server.streams) == (0, 0)


def test_an_end_that_crosses_the_answer_ends_the_stream() -> None:
    pair = Pair()
    stream = pair.client.open("put", {})
    pair.at_server()
    pair.client.send_end(stream, {})
    pair.server.send_error(stream, "x", "y")
    assert pair.at_server() == []
    assert pair.at_client() == [ErrorReceived(stream, "x", "y", {})]
    assert (pair.client.streams, pair.server.streams) == (0, 0)


def test_after_cancel_only_the_answer_is_heard() -> None:
    pair = Pair()
    stream = pair.client.open("get", {})
    pair.at_server()
    pair.server.send_head(stream, {"size": 3})
    pair.server.send_data(stream, b"abc")
    pair.client.cancel(stream, "changed my mind")
    pair.client.cancel(stream, "again")
    assert pair.at_client() == []
    assert pair.at_server() == [CancelReceived(stream, "changed my mind")]
    pair.server.send_data(stream, b"more")
    pair.server.send_error(stream, "cancelled", "as you wish")
    assert pair.at_client() == [ErrorReceived(stream, "cancelled", "as you wish", {})]
    listing = pair.client.open("list", {})
    pair.at_server()
    pair.client.cancel(listing, "")
    pair.server.send_items(listing, [{"name": "a"}])
    pair.server.send_result(listing, {})
    assert pair.at_client() == [ResultReceived(listing, {})]
    assert (pair.client.streams, pair.server.streams) == (0, 0)


def test_cancel_and_credit_that_cross_the_answer_mean_nothing() -> None:
    pair = Pair()
    stream = pair.client.open("get", {})
    pair.at_server()
    pair.server.send_result(stream, {})
    pair.client.cancel(stream, "")
    assert pair.at_server() == []
    pair.server.receive(frame(FrameType.WINDOW, stream, b"\0\0\0\1"))
    assert not pair.server.closed


def test_a_cancelled_put_needs_no_end() -> None:
    pair = Pair()
    stream = pair.client.open("put", {})
    pair.client.send_data(stream, b"abc")
    pair.client.cancel(stream, "stop")
    assert pair.client.credit(stream) == 0
    assert pair.at_server()[-1] == CancelReceived(stream, "stop")
    pair.server.send_head(stream, {})
    pair.server.send_error(stream, "cancelled", "")
    assert pair.at_client() == [ErrorReceived(stream, "cancelled", "", {})]


def test_no_more_streams_than_the_server_takes() -> None:
    pair = Pair()
    assert [pair.client.open("ping", {}) for _ in range(2)] == [1, 2]
    assert not pair.client.can_open
    with pytest.raises(Misuse, match="no request can be made now"):
        pair.client.open("ping", {})


# --- items ---


def test_items_fill_as_many_frames_as_they_need() -> None:
    pair = Pair()
    stream = pair.client.open("walk", {})
    pair.at_server()
    items: list[strict_json.JsonObject] = [{"name": f"{number:05}" * 20} for number in range(3000)]
    pair.server.send_items(stream, items)
    frames = [event for event in pair.at_client() if isinstance(event, ItemsReceived)]
    assert len(frames) == 6
    assert [item for event in frames for item in event.items] == items
    pair.server.send_items(stream, [])
    assert pair.at_client() == []


def test_an_item_has_to_fit_a_frame() -> None:
    assert len(next(frames_of_items([{"n": "x" * 65000}]))) <= 65536
    with pytest.raises(ValueError, match="an item of 65531 bytes"):
        list(frames_of_items([{"n": "x" * 65523}]))


def test_control_payloads_that_the_peer_would_refuse_are_not_sent() -> None:
    pair = Pair()
    stream = pair.client.open("stat", {})
    pair.at_server()
    for result, complaint in [({"a": "x" * 65536}, "65544 bytes"), ({"a": "\udcff"}, "surrogates not allowed")]:
        with pytest.raises(ValueError, match=complaint):
            pair.server.send_result(stream, result)
    pair.server.send_result(stream, {})
    assert pair.at_client() == [ResultReceived(stream, {})]


def test_a_control_payload_is_bounded_wherever_it_is_read() -> None:
    with pytest.raises(ProtocolFault, match="65537 bytes"):
        strict_json.decode(b" " * 65537)


# --- ends of connections ---


def test_a_server_that_goes_away_finishes_what_it_has() -> None:
    pair = Pair()
    before = pair.client.open("ping", {})
    pair.at_server()
    pair.server.go_away("shutdown", "The server stops.")
    pair.server.go_away("shutdown", "The server stops, really.")
    after = pair.client.open("put", {})
    pair.client.send_data(after, bytes(40 * KIB))
    pair.client.send_end(after, {})
    assert pair.at_server() == []
    pair.server.send_result(before, {})
    assert [event for event in pair.at_client() if not isinstance(event, CreditGranted)] == [
        GoingAway("shutdown", "The server stops.", before),
        ErrorReceived(after, "going-away", "The server stops.", {}),
        ResultReceived(before, {}),
    ]
    assert not pair.client.can_open
    assert (pair.client.streams, pair.server.streams) == (0, 0)
    pair.client.receive(frame(FrameType.RESULT, after, b"{}"))  # a server that answers all the same
    assert not pair.client.closed
    pair.client.receive(frame(FrameType.END, 1, b"{}"))
    assert pair.client.closed


@pytest.mark.parametrize("kind", [FrameType.END, FrameType.CANCEL, FrameType.WINDOW, FrameType.DATA])
def test_what_is_said_on_a_stream_behind_our_goodbye_means_nothing(kind: FrameType) -> None:
    pair = Pair()
    pair.server.go_away("shutdown", "")
    payload = {FrameType.CANCEL: b'{"reason":""}', FrameType.WINDOW: b"\0\0\0\1"}.get(kind, b"{}")
    pair.server.receive(frame(FrameType.REQUEST, 1, b'{"op":"put"}') + frame(kind, 1, payload))
    assert pair.server.events() == ()
    assert not pair.server.closed


def test_a_client_that_goes_away_opens_nothing_more_and_fails_a_stream_once() -> None:
    pair = Pair()
    stream = pair.client.open("get", {})
    pair.client.go_away("done", "")
    assert not pair.client.can_open
    assert pair.at_server()[-1] == GoingAway("done", "", 0)
    pair.client.receive(frame(FrameType.HEAD, stream, b"{}"))
    pair.client.receive(frame(FrameType.DATA, stream, bytes(64 * KIB)) + frame(FrameType.DATA, stream, b"x"))
    pair.client.receive(frame(FrameType.GOAWAY, 0, b'{"code":"x","message":"","last_stream":0}'))
    assert [type(event) for event in pair.client.events()][-2:] == [ErrorReceived, GoingAway]


@pytest.mark.parametrize(("began", "where"), [(b"", "between frames"), (b"\0", "in the middle of a frame")])
def test_an_end_says_where_it_came(began: bytes, where: str) -> None:
    pair = Pair()
    pair.client.receive(began)
    pair.client.receive_eof()
    assert pair.client.events() == [Broken(FaultCode.CONNECTION_CUT, f"the connection ended {where}")]
    pair.client.receive_eof()
    assert pair.client.events() == ()
    assert sent(pair.client) == b""


SAYS: dict[str, Callable[[Connection], object]] = {
    "send_auth": lambda engine: engine.send_auth({}),
    "authenticated": lambda engine: engine.authenticated(),
    "ping": lambda engine: engine.ping(b"12345678"),
    "go_away": lambda engine: engine.go_away("x", ""),
    "send_head": lambda engine: engine.send_head(1, {}),
    "send_items": lambda engine: engine.send_items(1, []),
    "send_data": lambda engine: engine.send_data(1, b"x"),
    "send_end": lambda engine: engine.send_end(1, {}),
    "send_result": lambda engine: engine.send_result(1, {}),
    "send_error": lambda engine: engine.send_error(1, "x", ""),
    "cancel": lambda engine: engine.cancel(1, ""),
    "consumed": lambda engine: engine.consumed(1, 1 << 20),
    "receive": lambda engine: engine.receive(b"nonsense!!!!!!!!"),
}


@pytest.mark.parametrize("name", SAYS)
def test_a_closed_connection_says_and_hears_nothing(name: str) -> None:
    pair = Pair()
    pair.server.close()
    assert pair.server.phase is Phase.CLOSED
    SAYS[name](pair.server)
    assert sent(pair.server) == b""
    assert pair.server.events() == ()


MISUSES: list[tuple[str, Role, Callable[[Connection], object], str]] = [
    (
        "items by a client",
        Role.CLIENT,
        lambda engine: engine.send_items(1, []),
        "ITEMS is not to be said by the client",
    ),
    ("end by a server", Role.SERVER, lambda engine: engine.send_end(1, {}), "END is not to be said by the server"),
    ("a request by a server", Role.SERVER, lambda engine: engine.open("put", {}), "no request can be made now"),
    ("a stream that is not", Role.SERVER, lambda engine: engine.send_result(7, {}), "stream 7, which is not open"),
    ("a stream to come", Role.CLIENT, lambda engine: engine.send_end(7, {}), "stream 7, which is not open"),
    ("auth again", Role.CLIENT, lambda engine: engine.send_auth({}), "AUTH after the proof"),
    ("proved again", Role.CLIENT, lambda engine: engine.authenticated(), "nothing is proved open"),
    ("data without head", Role.SERVER, lambda engine: engine.send_data(1, b"x"), "has said nothing yet"),
    ("a body for get", Role.CLIENT, lambda engine: engine.send_data(1, b"x"), "has said all that it had to say"),
    ("a short ping", Role.CLIENT, lambda engine: engine.ping(b""), "a PING carries 8 to 16384 bytes"),
]


@pytest.mark.parametrize(("name", "role", "misuse", "complaint"), MISUSES, ids=[row[0] for row in MISUSES])
def test_a_program_that_speaks_out_of_turn_is_told(
    name: str, role: Role, misuse: Callable[[Connection], object], complaint: str
) -> None:
    pair = Pair()
    pair.client.open("get", {})
    pair.flow()
    with pytest.raises(Misuse, match=complaint):
        misuse(pair.client if role is Role.CLIENT else pair.server)


def test_nothing_is_requested_before_the_proof() -> None:
    pair = Pair(proved=False)
    with pytest.raises(Misuse, match="before HELLO"):
        pair.client.authenticated()
    assert not pair.client.can_open
    pair.flow()
    with pytest.raises(Misuse, match="END is not to be said by the client before both"):
        pair.client.send_end(1, {})


@pytest.mark.parametrize("wrong", [{"max_payload": 1}, {"stream_window": -1}, {"max_streams": 1 << 31}])
def test_limits_are_possible(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be from"):
        Limits(**wrong)  # type: ignore[arg-type]


def test_limits_are_told() -> None:
    assert Pair().client.peer == SMALL
    assert SMALL.hello()["hptp"] == 1


def test_a_frame_is_in_the_middle_until_it_ends() -> None:
    reader = FrameReader(1 << 20)
    list(reader.read(frame(FrameType.DATA, 1, b"abc")[:-1]))
    assert reader.in_frame
    list(reader.read(b"c"))
    assert not reader.in_frame


@pytest.mark.parametrize(("number", "said"), [(5, 5), (-5, -5), (2**63, 2**63 - 1), (-(2**70), -(2**63))])
def test_numbers_beyond_64_bits_are_said_as_the_nearest(number: int, said: int) -> None:
    assert strict_json.nearest(number) == said
    assert strict_json.decode(strict_json.encode({"n": said})) == {"n": said}
