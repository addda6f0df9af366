"""The client's commands over SFTP, against OpenSSH's server and against ours: the same script, the same results."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.live_server import HOMEPORT, PATIENCE_S, require, running, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]
MIB = 1024 * 1024


@dataclass
class Place:
    """A server: its URL for a folder, where that folder is on this machine, and how one logs in."""

    url: str
    folder: Path
    environment: dict[str, str]
    options: tuple[str, ...]
    tells_digests: bool

    def run(self, verb: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.line(verb, *words),
            input=given,
            capture_output=True,
            check=False,
            env=self.environment,
            timeout=PATIENCE_S,
            cwd=self.folder.parent,
        )

    def line(self, verb: str, *words: str) -> list[str]:
        return [str(HOMEPORT), verb, *self.options, *words]

    def good(self, verb: str, *words: str) -> str:
        done = self.run(verb, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    @property
    def server(self) -> str:
        return "/".join(self.url.split("/")[:3])


def person(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT_", "PYTHON", "SSH_"))}
    places = {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME")}
    return kept | places | {"LANG": "C.UTF-8"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def openssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("openssh")
    sshd = require("sshd")
    require("ssh-keygen")
    for name in ("host", "person"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "person.pub", folder / "authorized")
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\n"
        "MaxStartups 50:30:100\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([sshd, "-D", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "sshd listens")
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        home = folder / "home"
        home.mkdir()
        url = f"sftp://{user}@127.0.0.1:{port}{home}"
        place = Place(url, home, person(folder), ("--identity", str(folder / "person")), tells_digests=False)
        shown = subprocess.check_output(["ssh-keygen", "-lf", str(folder / "host.pub")], text=True).split()[1]
        place.good("trust", place.server, "--fingerprint", shown)
        yield place
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ours")
    with running(folder / "instance") as server:
        account = server.add_account("alice")
        port = json.loads(server.run("status", "--json"))["services"]["ssh"]["port"]
        environment = person(folder, HOMEPORT_PASSWORD=account.password)
        place = Place(f"sftp://alice@127.0.0.1:{port}", server.home(account), environment, (), tells_digests=True)
        refused = place.run("ls", place.server)
        assert refused.returncode == 10, refused.stderr
        place.good("trust", place.server, *refused.stderr.decode().split("add: ")[1].split())
        yield place


@pytest.fixture(params=["openssh", "ours"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def test_every_verb(place: Place, tmp_path: Path) -> None:
    content, url = os.urandom(3 * MIB + 5), f"{place.url}/verbs"
    (tmp_path / "影片 1.bin").write_bytes(content)
    place.good("mkdir", url)
    done = place.run("put", str(tmp_path / "影片 1.bin"), f"{url}/")
    assert (done.returncode, b"SHA-256 verified" in done.stderr) == (0, place.tells_digests)
    there = place.folder / "verbs" / "影片 1.bin"
    assert there.read_bytes() == content
    assert abs(there.stat().st_mtime - (tmp_path / "影片 1.bin").stat().st_mtime) <= 1
    assert b"1 already complete" in place.run("put", str(tmp_path / "影片 1.bin"), f"{url}/").stderr
    assert place.good("ls", url) == "影片 1.bin\n"
    assert f"{len(content)} bytes" in place.good("stat", f"{url}/影片 1.bin")
    place.good("get", f"{url}/影片 1.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    assert place.run("cat", f"{url}/影片 1.bin").stdout == content
    place.good("mv", f"{url}/影片 1.bin", f"{url}/b")
    hashed = place.run("hash", f"{url}/b")
    wanted = hashlib.sha256(content).hexdigest()
    assert hashed.stdout.decode().startswith(wanted) if place.tells_digests else hashed.returncode == 11
    assert "free:" in place.good("df", place.server)
    script = "cd verbs; ls; mkdir sub; put " + str(tmp_path / "back") + " sub/x; mv b sub/y; rm sub/x; rm sub/y"
    place.good("shell", place.url, "-c", script)
    assert place.run("stat", f"{url}/b").returncode == 3
    place.good("rm", "-r", "--yes", url)
    assert not (place.folder / "verbs").exists()


def test_sync_both_ways(place: Place, tmp_path: Path) -> None:
    for number in range(60):
        file = tmp_path / "tree" / f"文件夹 {number % 5}" / f"f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 100))
    place.good("sync", str(tmp_path / "tree"), f"{place.url}/tree")
    assert b"nothing to do" in place.run("sync", str(tmp_path / "tree"), f"{place.url}/tree").stderr
    place.good("sync", f"{place.url}/tree", str(tmp_path / "copy"))
    assert subprocess.run(["diff", "-r", str(tmp_path / "tree"), str(tmp_path / "copy")], check=False).returncode == 0
    place.good("rm", "-r", "--yes", f"{place.url}/tree")


@pytest.mark.parametrize("deed", ["put", "get"])
def test_a_killed_transfer_goes_on(place: Place, tmp_path: Path, deed: str) -> None:
    """kill -9 in the middle: the same command completes it, and sends little again."""
    content = os.urandom(MIB) * 512  # a quick machine takes seconds, too
    here, there = tmp_path / "big", place.folder / "big"
    (here if deed == "put" else there).write_bytes(content)
    words = (str(here), f"{place.url}/big") if deed == "put" else (f"{place.url}/big", str(here))
    kept = 0
    with subprocess.Popen(place.line(deed, *words, "--json"), stdout=subprocess.PIPE, env=place.environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["bytes"] > 20 * MIB:
                kept = event["bytes"]
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert 0 < kept < len(content), "it was over before it could be killed"
    done = place.run(deed, *words, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["bytes"] <= len(content) - kept + 4 * MIB
    assert hashlib.sha256((there if deed == "put" else here).read_bytes()).digest() == hashlib.sha256(content).digest()
    place.good("rm", f"{place.url}/big")


def test_a_changed_key(openssh: Place) -> None:
    openssh.good("trust", "--forget", openssh.server)
    done = openssh.run("ls", openssh.url)
    assert (done.returncode, b"add: --fingerprint SHA256:" in done.stderr) == (10, True)
    flag = done.stderr.decode().split("add: ")[1].split()
    assert openssh.run("ls", openssh.url, "--fingerprint", "sha256:" + "ab" * 32).returncode == 10
    openssh.good("trust", openssh.server, *flag)


def test_commands_of_openssh(openssh: Place) -> None:
    done = openssh.run("exec", openssh.server, "--", "cat; echo err >&2; exit 3", given=b"in\x00\xff")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in\x00\xff", b"err\n")
    done = openssh.run("exec", openssh.server, "--", "printf", "%s|", "a b", "$HOME", "it's")
    assert done.stdout == b"a b|$HOME|it's|"
    done = openssh.run("exec", openssh.server, "--decode", "gbk", "--", r"printf '\304\343\272\303'")
    assert done.stdout.decode() == "你好"
