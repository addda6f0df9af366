"""The README's tour, run as it stands: every line, in order, in a fresh folder."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.live_server import require

pytestmark = pytest.mark.interop

README = Path(__file__).parents[2] / "README.md"
PATIENCE_S = 180.0


def tour() -> list[str]:
    """The lines of the tour; one that ends with a backslash goes on in the next."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines()]


def free_port() -> int:
    """A port that is free with its neighbours, which the tour uses, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server, contextlib.suppress(OSError):
            port: int = server.getsockname()[1]
            for beside in (port - 1, port + 1, port + 2, port + 3):
                socket.create_server(("127.0.0.1", beside)).close()
            return port


def test_every_line_of_the_tour_works(tmp_path: Path) -> None:
    require("curl")
    lines = tour()
    assert len(lines) > 15
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "LICENSE").symlink_to(README.parent / "LICENSE")
    script = "set -e\n" + "".join(f"echo '#' line {number}\n{line}\n" for number, line in enumerate(lines))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": str(free_port()), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    printed = dict(re.findall(r"^# line (\d+)\n(.*?)(?=^# line|\Z)", output, re.MULTILINE | re.DOTALL))
    said = {line: printed.get(str(number), "never reached") for number, line in enumerate(lines)}
    assert process.returncode == 0, output
    check_what_was_said(said)
    assert not (tmp_path / "tour").exists()


def check_what_was_said(said: dict[str, str]) -> None:
    """The lines that may fail did fail as the README says, and the digests agree."""
    (interrupted,) = [text for line, text in said.items() if line.endswith("|| echo interrupted")]
    (refused,) = [text for line, text in said.items() if line.endswith("|| echo refused")]
    (local,) = [text for line, text in said.items() if line.startswith("sha256sum")]
    (remote,) = [text for line, text in said.items() if "HASH" in line]
    listings = [text for line, text in said.items() if re.fullmatch(r"curl -K tour/curlrc ftp://\S+/", line)]
    assert interrupted.endswith("interrupted\n")
    assert refused.endswith("refused\n")
    assert re.search(r"curl: \((25|55|70)\)", refused), "curl itself says that the upload failed"
    assert local.split()[0] in remote.lower()
    (shell,) = [text for line, text in said.items() if line.startswith("homeport shell")]
    assert local.split()[0] in shell
    (put,) = [text for line, text in said.items() if line.startswith("homeport put -r")]
    (sync,) = [text for line, text in said.items() if line.startswith("homeport sync")]
    (chat,) = [text for line, text in said.items() if "| homeport chat" in line]
    assert "1000 files" in put
    assert "nothing to do: 1000 file(s) are the same on both sides" in sync
    assert "alice: The film is there!" in chat
    assert "film" in listings[0]
    assert "again" not in listings[1]
