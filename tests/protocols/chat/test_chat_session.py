"""Two sessions over a network under the test's control: threat U2 by name."""

from __future__ import annotations

import random

import pytest
from tests.protocols.chat.lossy import NAME, SERVER, Line, Weather, crypto, pair

from homeport.protocols.chat.frames import (
    CHALLENGE_BYTES,
    MAX_BYTES,
    PART_BYTES,
    Challenge,
    Header,
    Ping,
    Segment,
    pack_frame,
    pack_header,
)
from homeport.protocols.chat.session import USED_UP, Options, Session

FINE = Weather()
STORM = Weather(lost=0.3, doubled=0.3, least_s=0.005, most_s=0.2)


def texts(count: int, seed: int = 0) -> list[bytes]:
    chance = random.Random(seed)
    sizes = [0, 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES]
    return [f"{number} ".encode() + bytes(chance.choice([*sizes, 50, 60])) for number in range(count)]


@pytest.mark.parametrize("weather", [FINE, STORM], ids=["fine", "storm"])
@pytest.mark.parametrize("seed", range(5))
def test_everything_arrives_once_and_in_order(weather: Weather, seed: int) -> None:
    line = Line(*pair(), weather, seed)
    up, down = texts(60, seed), texts(60, seed + 100)
    for one, other in zip(up, down, strict=True):
        line.client.send(one)
        line.server.send(other)
    line.run(lambda: line.idle() and len(line.got["server"]) == 60 and len(line.got["client"]) == 60)
    assert line.got == {"server": up, "client": down}
    assert (line.client.queued_bytes, line.server.queued_bytes) == (0, 0)
    assert (line.network.lost > 0) is (weather is STORM)
    assert (line.client.repeated > 0) is (weather is STORM)


def test_a_fine_network_costs_one_datagram_and_one_acknowledgement_a_message() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"first")
    line.run(line.idle)
    before = line.network.sent
    for number in range(10):
        line.client.send(b"%d" % number)
        line.run(line.idle)
    assert line.network.sent - before == 20


def test_no_datagram_is_longer_than_1200_bytes_and_small_ones_travel_together() -> None:
    client, _ = pair()
    for text in texts(40):
        client.send(text)
    made = client.take_output(0.0)
    assert 1150 < max(len(data) for data, _ in made) <= MAX_BYTES
    client, _ = pair()
    for _ in range(10):
        client.send(b"small")
    assert len(client.take_output(0.0)) == 1


def test_patience_grows_until_it_is_as_large_as_allowed() -> None:
    client, _ = pair(Options(gives_up_s=100.0))
    client.send(b"hello?")
    sent, now = [], 0.0
    while now < 12:
        sent += [round(now, 3) for _ in client.take_output(now)]
        now = client.deadline()
    assert sent == [0.0, 0.3, 0.9, 2.1, 4.1, 6.1, 8.1, 10.1]


def test_a_lost_part_is_sent_again_when_three_later_ones_have_come() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    for _ in range(6):
        line.client.send(bytes(PART_BYTES))
    (_lost, _), *others = line.client.take_output(line.network.now)
    for data, _ in others:
        line.network.send(data, line.address, SERVER)
    begin = line.network.now
    line.run(line.idle)
    assert line.network.now - begin < 0.06  # long before the patience of 0.05 s and more was over
    assert len(line.got["server"]) == 7


def test_an_acknowledgement_waits_a_moment_for_something_to_travel_with() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    line.client.send(b"question")
    line.pump()
    line.network.step(1e9)
    assert line.server.take_output(line.network.now) == []
    assert line.server.deadline() == pytest.approx(line.network.now + 0.02)
    line.server.send(b"answer")
    (datagram,) = line.server.take_output(line.network.now)
    line.client.receive(datagram[0], SERVER, line.network.now)
    assert line.client.is_idle


# Addresses


def test_u1_nothing_goes_to_an_address_that_has_not_proven_itself_but_one_challenge() -> None:
    client, server = pair()
    server.send(bytes(20_000))  # whatever waits for the client
    client.send(b"x" * 500)
    ((datagram, _),) = client.take_output(0.0)
    server.receive(datagram, "a victim", 0.0)
    ((answer, where),) = server.take_output(0.0)
    assert where == "a victim"
    assert len(answer) == CHALLENGE_BYTES
    assert len(answer) <= len(datagram)
    for now in range(1, 59):
        assert server.take_output(float(now)) == []
    assert server.peer is None
    server.close("time to go")  # nor a farewell
    assert server.take_output(59.0) == []


def test_u1_no_answer_is_longer_than_what_came() -> None:
    for size in range(1, 60):
        client, server = pair()
        header = pack_header(Header(NAME, 0))
        plain = (pack_frame(Ping(bytes(8))) * 9)[: size // 9 * 9]
        datagram = header + crypto(bytes(32), bytes(32)).seal(0, plain, header)
        server.receive(datagram, "anywhere", 0.0)
        assert sum(len(data) for data, _ in server.take_output(0.0)) <= len(datagram)
        assert client.peer == SERVER


def test_u2_a_session_moves_to_an_address_that_proves_itself_and_no_other() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"from home")
    line.run(line.idle)
    assert line.server.peer == line.address
    line.address = "on the road"
    line.client.send(b"from the road")
    line.run(line.idle)
    assert line.server.peer == "on the road"
    line.server.send(b"welcome")
    line.run(line.idle)
    assert line.got == {"server": [b"from home", b"from the road"], "client": [b"welcome"]}


def test_u2_an_address_that_only_passes_datagrams_on_gains_nothing() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    line.client.send(b"caught on the way")
    ((caught, _),) = line.client.take_output(line.network.now)
    line.server.receive(caught, "the thief", line.network.now)
    ((challenge, where),) = line.server.take_output(line.network.now)
    assert where == "the thief"
    assert len(challenge) <= len(caught)
    line.server.send(b"secret")
    assert [where for _, where in line.server.take_output(line.network.now)] == ["client"]
    # A response to another challenge, or from elsewhere, proves nothing.
    line.client.receive(challenge, SERVER, line.network.now)
    ((response, _), *_) = line.client.take_output(line.network.now)
    line.server.receive(response, "somewhere else", line.network.now)
    assert line.server.peer == "client"


def test_the_same_address_gets_the_same_challenge_and_a_new_one_replaces_it() -> None:
    client, server = pair()
    for place in ("a", "a", "b"):
        client.ping()
        ((datagram, _),) = client.take_output(0.0)
        server.receive(datagram, place, 0.0)
    ((_, where),) = server.take_output(0.0)
    assert where == "b"


def test_an_old_datagram_from_elsewhere_moves_nothing() -> None:
    client, server = pair()
    client.ping()
    ((first, _),) = client.take_output(0.0)
    client.ping()
    ((second, _),) = client.take_output(0.0)
    server.receive(second, "home", 0.0)
    server.take_output(0.0)
    assert server.receive(first, "elsewhere", 0.0)
    assert server.take_output(0.0) == []


# Forgery


def test_u2_what_was_tampered_with_cut_or_doubled_changes_nothing() -> None:
    client, server = pair()
    client.send(b"pay 10")
    ((datagram, _),) = client.take_output(0.0)
    for at in range(len(datagram)):
        changed = bytearray(datagram)
        changed[at] ^= 1
        assert not server.receive(bytes(changed), "home", 0.0)
        assert not server.receive(datagram[:at], "home", 0.0)
    assert server.messages() == []
    assert server.take_output(0.0) == []
    assert (server.counts.forged, server.counts.taken) == (2 * len(datagram), 0)
    assert server.receive(datagram, "home", 0.0)
    for _ in range(3):
        assert not server.receive(datagram, "home", 0.0)
    assert (server.counts.replayed, server.messages()) == (3, [b"pay 10"])


def test_u2_what_was_recorded_is_worth_nothing_later() -> None:
    line = Line(*pair(), FINE)
    recorded: list[bytes] = []
    for number in range(1200):
        line.client.send(b"%d" % number)
        recorded += [data for data, _ in line.client.take_output(line.network.now)]
        line.network.send(recorded[-1], line.address, SERVER)
        line.run(line.idle)
    counted = len(line.got["server"])
    for datagram in recorded:
        assert not line.server.receive(datagram, "client", line.network.now)
    assert line.server.counts.replayed == len(recorded) == counted


def test_u2_one_side_s_datagrams_cannot_be_sent_back_to_it() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    line.server.send(b"y")
    ((datagram, _),) = line.server.take_output(line.network.now)
    assert not line.server.receive(datagram, "client", line.network.now)
    assert line.server.counts.forged == 1


def test_u2_numbers_do_not_wrap() -> None:
    client, server = pair()
    client._number = (1 << 62) - 2
    client.send(b"nearly")
    ((datagram, _),) = client.take_output(0.0)
    assert server.receive(datagram, "home", 0.0)
    client.send(b"too much")
    client.take_output(0.0)
    assert client.closed == USED_UP


def test_a_datagram_of_another_session_is_not_ours() -> None:
    client, _ = pair()
    client.ping()
    ((datagram, _),) = client.take_output(0.0)
    other = Session(b"another session!", crypto(bytes([1]) * 32, bytes(32)), Options(), 0.0)
    assert not other.receive(datagram, "home", 0.0)
    assert other.counts.forged == 1


# Misbehaviour of who has the key


def sealed(plain: bytes, number: int = 0) -> bytes:
    header = pack_header(Header(NAME, number))
    return header + crypto(bytes(32), bytes(32)).seal(number, plain, header)


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (b"\x09", "no frame is of type 9"),
        (b"\x02\x00", "a frame is cut"),
        (pack_frame(Segment(0, bytes(101), is_last=True)), "a message is longer than 100 bytes"),
        (
            b"".join(pack_frame(Segment(number, bytes(60), is_last=False)) for number in (1, 0)),
            "a message is longer than 100 bytes",
        ),
        (pack_frame(Segment(0, b"", is_last=False)), "a part of a message with nothing in it"),
    ],
)
def test_nonsense_from_the_other_side_ends_the_session(plain: bytes, reason: str) -> None:
    _, server = pair(Options(max_message_bytes=100))
    assert server.receive(sealed(plain), "home", 0.0)
    assert (server.closed, server.counts.nonsense, server.messages()) == (reason, 1, [])


def test_what_is_kept_for_later_is_bounded() -> None:
    _, server = pair()
    for number in range(2000):
        server.receive(sealed(pack_frame(Segment(number + 1, bytes(1000), is_last=True)), number), "home", 0.0)
    assert len(server._receiving._early) == 64
    server.receive(sealed(pack_frame(Segment(0, b"", is_last=True)), 2000), "home", 0.0)
    assert len(server.messages()) == 65
    server.receive(sealed(pack_frame(Segment(0, b"again", is_last=True)), 2001), "home", 0.0)
    assert server.messages() == []


def test_answers_that_nobody_can_take_yet_do_not_pile_up() -> None:
    _, server = pair()
    many = b"".join(pack_frame(Challenge(number.to_bytes(8, "big"))) for number in range(100))
    for number in range(50):
        server.receive(sealed(many, number), "not proven", 0.0)
        server.take_output(0.0)
    assert len(server._now_frames) == 1
    server.peer = "proven"
    (((datagram, where)),) = server.take_output(0.0)
    assert (len(datagram), where) == (CHALLENGE_BYTES, "proven")


def test_acknowledgements_of_what_was_never_sent_do_no_harm() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    forward = b"\x01" + b"\xff" * 16
    assert line.server.receive(sealed(forward, 50), "client", line.network.now)
    line.server.send(b"y")
    line.run(line.idle)
    assert line.got["client"] == [b"y"]


# Ends


def test_a_farewell_is_told_and_nothing_is_sent_after_it() -> None:
    line = Line(*pair(), FINE)
    line.client.send(b"x")
    line.run(line.idle)
    line.server.close("the server is going down")
    line.server.close("twice")
    line.run(lambda: line.client.closed is not None)
    assert line.client.closed == line.server.closed == "the server is going down"
    line.client.send(b"too late")
    assert line.client.take_output(line.network.now) == []
    assert line.client.deadline() == float("inf")
    line.server.close("")


def test_a_farewell_without_a_reason() -> None:
    line = Line(*pair(), FINE)
    line.client.close("")
    line.run(lambda: line.server.closed is not None)
    assert line.server.closed == "the other side has closed the session"


def test_silence_ends_a_session_and_pings_prevent_it() -> None:
    alone, _ = pair(Options(gives_up_s=60.0))
    alone.take_output(59.9)
    before = alone.closed
    alone.take_output(60.0)
    assert (before, alone.closed) == (None, "nothing was heard for 60 s")
    line = Line(*pair(Options(keeps_alive_s=15.0), Options()), FINE)
    line.run(lambda: line.network.now > 500)
    assert (line.client.closed, line.server.closed) == (None, None)
    assert 60 < line.network.sent < 90
    assert line.server.deadline() < line.network.now + 61
