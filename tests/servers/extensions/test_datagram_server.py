from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.servers.loops import Run, until

from homeport.servers.datagrams import Rules
from homeport.servers.extensions.contract import Context
from homeport.servers.extensions.datagram_server import DatagramServer
from homeport.servers.extensions.loading import load_datagram
from homeport.servers.lifecycle import Address
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks

EXAMPLES = str(Path(__file__).parents[3] / "examples")


def upper(rules: Rules) -> DatagramServer:
    context = Context("shout")
    service = load_datagram(context, "upper_datagrams:UpperDatagrams", EXAMPLES)
    return DatagramServer(context, service, Wish("shout", ("127.0.0.1",), 0), rules)


def test_the_example_answers_in_capitals(run: Run) -> None:
    async def main() -> None:
        server = upper(Rules())
        await server.bind()
        await server.serve()
        (address,) = server.addresses
        assert address == Address("shout", "127.0.0.1", address.port, transport="udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((address.host, address.port))
            for sent, expected in (("hello", "HELLO"), ("你好 a", "你好 A"), ("", "")):
                client.send(sent.encode())
                got = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 2048), 10)
                assert got.decode() == expected
            for unanswered in (b"\xff\xfe", "\u0149".encode()):  # no text; one that becomes longer in capitals
                client.send(unanswered)
            await until(lambda: server.datagrams.counts.unanswered == 2)
        await server.drain(1)
        await server.close()
        await server.close()
        assert server.addresses == ()

    run(main())


def test_who_may_not_come_in_never_meets_the_service(run: Run) -> None:
    async def main() -> None:
        server = upper(Rules(networks=Networks(deny=("127.0.0.1/32",))))
        await server.bind()
        await server.serve()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", ("127.0.0.1", server.addresses[0].port))
            await until(lambda: server.datagrams.counts.denied == 1)
        await server.close()

    run(main())


def test_an_unused_server_can_be_closed(run: Run) -> None:
    async def main() -> None:
        await upper(Rules()).close()

    run(main())
