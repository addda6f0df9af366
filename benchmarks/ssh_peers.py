"""SFTP against OpenSSH's own server, in one run with OpenSSH's client: `python -m benchmarks.ssh_peers [--mib N]`.

The one rule: the two servers take turns, job by job, on the same file system, with the same client and its own choice
of algorithms; what counts beside the clock is the processor time that each server took. Homeport is measured with its
defaults and with `fsync = "never"`, which is what OpenSSH does.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_JOB_S = 600
_SMALL_FILES, _SMALL_BYTES = 1000, 4096
SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@dataclass
class Peer:
    """A server: how its client is called, and the processes whose time is its own."""

    name: str
    config: Path
    processor_s: Callable[[], float]
    folder: Path
    results: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def run(self, job: str, commands: str, folder: Path) -> None:
        """Give the client `commands`; note the seconds, and the server's processor seconds."""
        (folder / "batch").write_text(commands)
        before, began = self.processor_s(), time.monotonic()
        client = ["sftp", "-q", "-F", str(self.config), "-b", str(folder / "batch"), "host"]
        subprocess.run(client, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=_JOB_S)
        took = time.monotonic() - began
        time.sleep(0.3)  # for the server to give back what the connection had: its time counts
        self.results.setdefault(job, []).append((took, self.processor_s() - before))


def processor_s(*pids: int) -> float:
    """What the processes, and those of their children that have ended, took so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / _TICKS


def children_of(pid: int) -> list[int]:
    """Its processes, one generation."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(path: Path, port: int, user: str, key: Path) -> Path:
    """The client's; it chooses algorithms as it likes."""
    path.write_text(
        f"Host host\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n IdentitiesOnly yes\n"
        " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
    )
    return path


@contextlib.contextmanager
def openssh(root: Path, key: Path) -> Iterator[Peer]:
    """sshd with its sftp-server, as this user."""
    port, files = free_port(), root / "openssh-files"
    files.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "sshd_key")], check=True)
    authorized = root / "authorized_keys"
    shutil.copy(key.with_suffix(".pub"), authorized)
    (root / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/sshd_key\nAuthorizedKeysFile {authorized}\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nSubsystem sftp {SFTP_SERVER} -d {files}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    sshd = subprocess.Popen([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(root / "sshd_config")])
    try:
        wait_for(port)
        config = write_config(root / "openssh.conf", port, getpass.getuser(), key)
        yield Peer("OpenSSH", config, lambda: processor_s(sshd.pid), files)
    finally:
        sshd.terminate()
        sshd.wait(10)


@contextlib.contextmanager
def homeport(root: Path, key: Path, fsync: str) -> Iterator[Peer]:
    """`homeport serve` with one worker."""
    folder, port = root / f"homeport-{fsync}", free_port()
    command = [str(Path(sys.executable).with_name("homeport"))]
    add = [*command, "user", "add", "alice", "--generate", "--dir", str(folder)]
    subprocess.run(add, check=True, capture_output=True)
    subprocess.run(
        [*command, "user", "key", "add", "alice", f"{key}.pub", "--dir", str(folder)], check=True, capture_output=True
    )
    settings = [f"fsync={fsync}", "workers=1", "ftp.port=0", "ftp.tls=off", f"ssh.port={port}", "logs.level=error"]
    serve = [*command, "serve", "--dir", str(folder), *(word for one in settings for word in ("--set", one))]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        config = write_config(root / f"homeport-{fsync}.conf", port, "alice", key)
        name = f"Homeport, fsync={fsync}"
        yield Peer(name, config, lambda: processor_s(*children_of(server.pid)), folder / "homes/alice")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


def measure(peers: list[Peer], root: Path, mib: int, rounds: int) -> None:
    """All jobs, the servers in turn."""
    client = root / "client"
    (client / "small").mkdir(parents=True)
    with (client / "big").open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    for number in range(_SMALL_FILES):
        (client / "small" / f"f{number:04}").write_bytes(os.urandom(_SMALL_BYTES))
    jobs = {
        f"put {mib} MiB": "put big big\n",
        f"get {mib} MiB": "get big back\n",
        f"put {_SMALL_FILES} x 4 KiB": "put -r small\n",
        f"get {_SMALL_FILES} x 4 KiB": "get -r small small-back\n",
    }
    for round_ in range(rounds):
        for job, commands in jobs.items():
            for peer in peers if round_ % 2 else reversed(peers):
                for leftover in ("back", "small-back"):
                    shutil.rmtree(client / leftover, ignore_errors=True)
                    (client / leftover).unlink(missing_ok=True)
                if job.startswith("put"):
                    peer.run(job, f"-rm {'big' if 'big' in commands else 'small/*'}\n", client)
                    peer.results.pop(job, None) if not round_ else peer.results[job].pop()
                peer.run(job, commands, client)
                took, work = peer.results[job][-1]
                print(f"round {round_ + 1}: {job}, {peer.name}: {took:.2f} s, {work:.2f} CPU-s", flush=True)
                if "big" in commands and job.startswith("get"):
                    subprocess.run(["cmp", "big", "back"], cwd=client, check=True)


def report(peers: list[Peer]) -> None:
    """One line a job: median seconds and processor seconds, and their ratio to OpenSSH's."""
    base = peers[0]
    for job in base.results:
        wall, work = (statistics.median(found[index] for found in base.results[job]) for index in (0, 1))
        print(job)
        for peer in peers:
            its_wall, its_work = (statistics.median(found[index] for found in peer.results[job]) for index in (0, 1))
            ratios = f"{its_wall / wall:5.2f} x  {its_work / max(work, 0.01):5.2f} x"
            print(f"  {peer.name:24} {its_wall:7.2f} s  {its_work:6.2f} CPU-s   {ratios}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the large file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/dev/shm", help="where all files lie")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder, contextlib.ExitStack() as cleanup:
        root = Path(folder)
        key = root / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        peers = [cleanup.enter_context(openssh(root, key))]
        peers += [cleanup.enter_context(homeport(root, key, fsync)) for fsync in ("group", "never")]
        measure(peers, root, options.mib, options.rounds)
        report(peers)


if __name__ == "__main__":
    main()
