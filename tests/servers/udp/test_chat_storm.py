"""Must be shown: a hundred clients in ten rooms over a network that loses, doubles and reorders 30 % of all datagrams
both ways end with the same log; then the server is killed and started. Deterministic: one clock, one seed.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.core.chats import Chat
from tests.protocols.chat.lossy import Weather
from tests.servers.udp.chat_town import Resident, Town

from homeport.core.state import open_database

STORM = Weather(lost=0.3, doubled=0.3, least_s=0.002, most_s=0.12)
ROOMS = [f"room{number}" for number in range(10)]


def same_for_all(town: Town, people: list[Resident], room: str) -> list[tuple[int, str, str]]:
    """What everybody in the room has heard, which is what the server has, each message once."""
    log = town.chat.heard(people[0].account, room)
    for person in people:
        assert person.texts(room) == log, person.account
    assert [number for number, _, _ in log] == list(range(1, len(log) + 1))
    return log


@pytest.mark.timeout(600)
def test_a_hundred_clients_in_a_storm_end_with_the_same_log(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'state.db'}")
    chat = Chat(database, tmp_path / "homes")
    town = Town(chat, STORM, seed=2026)
    people = town.move_in(*(f"user{number}" for number in range(100)))
    for room in ROOMS:
        chat.rooms.make(room)
    for number, person in enumerate(people):
        person.join(ROOMS[number % 10])
    town.settle()
    chance = random.Random(7)
    expected = 0
    for round_number in range(3):
        for number, person in enumerate(people):
            text = f"{round_number} of {person.account} " + "x" * chance.choice([0, 10, 100, 2500])
            person.say(ROOMS[number % 10], text)
            expected += 1
        town.run(lambda begin=town.now: town.now >= begin + 0.2)  # type: ignore[misc]
    # In the midst of it the server is killed, and a new one is started.
    town.kill_server()
    town.run(lambda begin=town.now: town.now >= begin + 3.0)  # type: ignore[misc]
    town.start_server()
    for number, person in enumerate(people):
        person.say(ROOMS[number % 10], f"after the fall, {person.account}")
        expected += 1
    town.settle()
    assert all(person.connections == 2 for person in people)
    stored = [same_for_all(town, people[number::10], room) for number, room in enumerate(ROOMS)]
    assert sum(map(len, stored)) == expected == 400
    assert len({(sender, text) for log in stored for _, sender, text in log}) == expected
    assert 0.25 < town.network.lost / town.network.sent < 0.45
    database.close()
