"""The chat over a long line that loses packets: many talk, the server is killed and started, all logs are compared.

    python -m benchmarks.chat_storm [--people 50] [--rooms 10] [--each 20] [--loss 20] [--delay-ms 25]

Needs root, iproute2, gcc and the `homeport` of this checkout on the path. The server is at one end of the line
(wanlink.c), all clients, in one process, at the other; keys come over HPTP, so that is lossy too. It fails unless
everybody ends with the same log in the same order, with everything that was said in it once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.hptp_place import PASSWORD, Place, line
from homeport.client.chat.client import ChatClient, Connected, Disconnected
from homeport.client.chat.core import Said
from homeport.client.chat.opening import dialler
from homeport.client.errors import ConnectionFailed
from homeport.config.model import Settings
from homeport.core.accounts import Accounts
from homeport.core.passwords import HashCost
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services

HPTP_PORT, CHAT_PORT = 19130, 19131
PATIENCE_S = 240.0
RULES = ("chat.messages_per_s=1000", "chat.requests_per_s=1000", "limits.sessions_per_address=1000")
CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1)  # logins are not measured
HALF = "half"  # the clients' word for: kill it now


class Person:
    """One client in one room, who keeps what it hears and counts its connections."""

    def __init__(self, chat: ChatClient, room: str, name: str, expected: int) -> None:
        self.chat, self.room, self.name = chat, room, name
        self.expected = expected
        self.has_all = asyncio.Event()
        self.heard: list[Said] = []
        self.carriers: Counter[str] = Counter()
        self.lost = 0
        self.delays: list[float] = []

    async def hear(self, said_at: dict[str, float]) -> None:
        async for news in self.chat:
            if isinstance(news, Said):
                self.heard.append(news)
                self.delays.append(time.monotonic() - said_at[news.text])
                if len(self.heard) >= self.expected:
                    self.has_all.set()
            elif isinstance(news, Connected):
                self.carriers[news.carrier] += 1
            elif isinstance(news, Disconnected):
                self.lost += 1

    async def come_in(self) -> None:
        """Try again as a person would: logins go over TCP, which a lossy line holds up for long."""
        for tried in range(20):
            try:
                await self.chat.open()
                return
            except ConnectionFailed:
                if tried == 19:
                    raise

    async def talk(self, first: int, last: int, said_at: dict[str, float]) -> None:
        for number in range(first, last):
            text = f"{self.name} {number}"
            said_at[text] = time.monotonic()
            await self.chat.say(self.room, text)
            await asyncio.sleep(random.uniform(0.0, 0.4))

    def log(self) -> list[tuple[int, str, str]]:
        return [(said.id, said.sender, said.text) for said in self.heard]


async def clients(chosen: argparse.Namespace, fingerprint: str) -> dict[str, object]:
    """In the near end of the line: everybody talks; what came of it. Raises AssertionError where a log is wrong."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(chosen.people + 4))
    said_at: dict[str, float] = {}
    people = []
    for number in range(chosen.people):
        url = f"hp://p{number}@10.77.0.2:{HPTP_PORT}"
        chat = ChatClient(dialler(url, password=PASSWORD, fingerprint=fingerprint), "10.77.0.2")
        there = len(range(number % chosen.rooms, chosen.people, chosen.rooms))
        people.append(Person(chat, f"room{number % chosen.rooms}", f"p{number}", there * chosen.each))
    await asyncio.gather(*(person.come_in() for person in people))
    note("all are in")
    listening = [asyncio.create_task(person.hear(said_at)) for person in people]
    await asyncio.gather(*(person.chat.join(person.room, make=True) for person in people))
    note("all have joined")
    begun, before = time.monotonic(), datagrams()
    half = chosen.each // 2
    await asyncio.gather(*(person.talk(0, half, said_at) for person in people))
    calm = [delay for person in people for delay in person.delays]
    print(HALF, flush=True)
    await asyncio.gather(*(person.talk(half, chosen.each, said_at) for person in people))
    note("everything is said")
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(person.has_all.wait() for person in people))
    note("all have heard everything")
    took, after = time.monotonic() - begun, datagrams()
    await asyncio.sleep(2.0)  # for whatever would come twice
    check(people, chosen.each)
    await asyncio.gather(*(person.chat.close() for person in people))
    await asyncio.gather(*listening)
    return {
        "loss_percent": chosen.loss,
        "messages": chosen.people * chosen.each,
        "heard": sum(len(person.heard) for person in people),
        "seconds": round(took, 1),
        "datagrams_out": after[1] - before[1],
        "datagrams_in": after[0] - before[0],
        "delay_p50_ms": round(1000 * statistics.median(calm)),
        "delay_p99_ms": round(1000 * statistics.quantiles(calm, n=100)[98]),
        "carriers": dict(sum((person.carriers for person in people), Counter[str]())),
        "connections_lost": sum(person.lost for person in people),
        "cpu_s_of_clients": round(time.process_time(), 1),
    }


def check(people: Sequence[Person], each: int) -> None:
    """Everybody in a room has one log, and that is everything that was said there, numbered without a gap."""
    by_room: dict[str, list[Person]] = {}
    for person in people:
        by_room.setdefault(person.room, []).append(person)
    for room, there in by_room.items():
        log = there[0].log()
        assert all(person.log() == log for person in there), f"{room}: not the same log"
        assert [number for number, _, _ in log] == list(range(1, len(log) + 1)), f"{room}: a gap, or twice"
        said = {f"{person.name} {number}" for person in there for number in range(each)}
        assert len(log) == len(said), f"{room}: {len(log)} for {len(said)}"
        assert {text for _, _, text in log} == said, f"{room}: other words"


def note(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def datagrams() -> tuple[int, int]:
    """UDP datagrams that came in and went out in this network namespace."""
    rows = [row.split() for row in Path("/proc/self/net/snmp").read_text("ascii").splitlines() if row[:4] == "Udp:"]
    counts = dict(zip(*rows, strict=True))
    return int(counts["InDatagrams"]), int(counts["OutDatagrams"])


def start(place: Place) -> tuple[subprocess.Popen[str], str]:
    """A server at the far end, which is ready, and its key's fingerprint."""
    off = [f"{name}.enabled=false" for name in ("ssh", "time", "ntp", "ftp")]
    sets = [f"--set={one}" for one in (f"hptp.port={HPTP_PORT}", f"chat.port={CHAT_PORT}", *RULES, *off)]
    command = place.far("homeport", "serve", *sets)
    server = subprocess.Popen(command, env=place.environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert server.stdout is not None
    fingerprint = ""
    for said in server.stdout:
        fingerprint = said.partition("key fingerprint: ")[2].strip() or fingerprint
        if said.startswith("ready"):
            return server, fingerprint
    raise SystemExit("the server did not start")


def storm(place: Place, words: Sequence[str]) -> dict[str, object]:
    server, fingerprint = start(place)
    command = place.near(sys.executable, "-m", "benchmarks.chat_storm", *words, "--fingerprint", fingerprint)
    talking = subprocess.Popen(command, env=place.environment, stdout=subprocess.PIPE, text=True)
    assert talking.stdout is not None
    try:
        for said in talking.stdout:
            if said.strip() != HALF:
                return dict(json.loads(said))
            time.sleep(0.5)  # in the midst of the second half
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            server, _ = start(place)
        raise SystemExit(talking.wait() or 1)
    finally:
        talking.kill()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--rooms", type=int, default=10)
    parser.add_argument("--each", type=int, default=20, help="messages of each client")
    parser.add_argument("--loss", type=float, default=20.0, help="percent of the packets, each way")
    parser.add_argument("--delay-ms", type=int, default=25, help="one way")
    parser.add_argument("--workspace", type=Path, default=Path("/dev/shm/chat-storm"))
    parser.add_argument("--fingerprint", help=argparse.SUPPRESS)  # given: be the clients
    chosen = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is taken down
    if chosen.fingerprint:
        print(json.dumps(asyncio.run(clients(chosen, chosen.fingerprint))), flush=True)
        return
    shutil.rmtree(chosen.workspace, ignore_errors=True)
    folder = chosen.workspace / secrets.token_hex(4)
    folder.mkdir(parents=True)
    places = {"HOMEPORT_DIR": "instance", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}
    environment = {**os.environ, **{key: str(folder / name) for key, name in places.items()}}
    place = Place(folder, chosen.delay_ms, environment)
    instance = Instance(folder / "instance")
    instance.create(Settings())
    with Services(instance, Settings(), "command") as services:
        accounts = Accounts(services.database, services.homes, cost=CHEAP)
        for number in range(chosen.people):
            accounts.create(f"p{number}", PASSWORD)
    with line(place, chosen.loss):
        print(json.dumps(storm(place, words), indent=2), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
