"""ntpdate, sntp and chronyd ask our SNTP server. The first two know no port but 123, which only root may bind."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.live_server import PATIENCE_S, require

from homeport.config.time import NtpSettings
from homeport.daemon.time_service import ntp_rules
from homeport.servers.listening import Wish
from homeport.servers.udp.host_clock import HostClock, KernelClock
from homeport.servers.udp.server import UdpServer
from homeport.servers.udp.time_answers import Sntp

pytestmark = pytest.mark.interop

KEPT, LEFT_ALONE = KernelClock(0, 0, 3000), KernelClock(5, 0x40, 16_000_000)
HOST = "127.0.0.123"  # an address of its own, should this machine have a server on the others


@contextmanager
def serving(kernel: KernelClock, port: int) -> Iterator[int]:
    """A server over a kernel that says what a test wants; its port."""
    sntp = Sntp(HostClock(3, lambda: kernel))
    server = UdpServer(Wish("ntp", (HOST,), port), ntp_rules(NtpSettings()), sntp.answer, over=sntp.over)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    failed: list[OSError] = []

    async def start() -> None:
        try:
            await server.bind()
            await server.serve()
        except OSError as error:
            failed.append(error)
        ready.set()

    def run() -> None:
        loop.run_until_complete(start())
        if not failed:
            loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        if failed:
            pytest.skip(f"port {port} cannot be had: {failed[0].strerror}")
        yield server.addresses[0].port
    finally:
        if not failed:
            loop.call_soon_threadsafe(loop.stop)
        thread.join()


def said(*command: str) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S, check=False, text=True
    )
    return done.stdout


def chronyd(folder: Path, port: int, *words: str) -> str:
    """Runs it with nothing of the machine's: it removes its pidfile at the end, so that must be one of the test's."""
    server = f"server {HOST} port {port} iburst maxsamples 1"
    own = (f"pidfile {folder / 'pid'}", "cmdport 0", f"bindcmdaddress {folder / 'sock'}")
    return said(require("chronyd"), "-Q", *words, "-f", "/dev/null", server, *own)


def test_chronyd_measures_a_clock_that_is_kept(tmp_path: Path) -> None:
    with serving(KEPT, 0) as port:
        text = chronyd(tmp_path, port, "-t", "15")
    found = re.search(r"System clock wrong by (-?[\d.]+) seconds", text)
    assert found, text
    assert abs(float(found[1])) < 1


def test_chronyd_does_not_believe_a_clock_that_is_left_alone(tmp_path: Path) -> None:
    with serving(LEFT_ALONE, 0) as port:
        text = chronyd(tmp_path, port, "-t", "4")
    assert "System clock wrong" not in text
    assert re.search("No suitable source|Timeout reached", text), text


@pytest.mark.parametrize("client", [("ntpdate", "-q"), ("sntp",)])
def test_clients_on_the_well_known_port(client: tuple[str, ...]) -> None:
    command = (require(client[0]), *client[1:], HOST)
    with serving(KEPT, 123):
        text = said(*command)
    found = re.search(r"([+-]\d+\.\d+)", text)
    assert found, text
    assert abs(float(found[1])) < 1
    assert "no eligible servers" not in text


@pytest.mark.parametrize("client", [("ntpdate", "-q"), ("sntp",)])
def test_clients_on_the_well_known_port_do_not_believe_a_clock_that_is_left_alone(client: tuple[str, ...]) -> None:
    command = (require(client[0]), *client[1:], HOST)
    with serving(LEFT_ALONE, 123):
        assert "no eligible servers" in said(*command)
