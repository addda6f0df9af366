from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.servers.loops import Run, until

from homeport.servers.chat_bell import Bell


def test_a_bell_is_heard_by_all_others(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        heard: dict[int, list[int]] = {0: [], 1: [], 2: []}
        bells = [Bell(tmp_path, slot, heard[slot].append) for slot in heard]
        bells[0].ring(1)  # not open yet: nothing happens
        for bell in bells:
            bell.open()
        bells[0].ring(7)
        await until(lambda: heard[1] and heard[2])
        for bell in bells:
            bell.close()
            bell.close()
        assert heard == {0: [], 1: [7], 2: [7]}

    run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_bell_survives_what_is_left_of_others_and_noise(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        heard: list[int] = []
        left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        left.bind(str(tmp_path / "chat-0.bell"))
        left.close()
        bell, other = Bell(tmp_path, 0, heard.append), Bell(tmp_path, 1, heard.append)
        bell.open()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as noise:
            for data in (b"", b"1234567", b"123456789", (5).to_bytes(8, "big")):
                noise.sendto(data, str(tmp_path / "chat-0.bell"))
        await until(lambda: heard == [5])
        other.open()
        bell.close()
        other.ring(6)  # the other has gone
        other.close()

    run(main())


def test_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            Bell(tmp_path / "nowhere", 0, print).open()

    run(main())
