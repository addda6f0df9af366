"""Where HPTP is measured beside its peers: a line with two ends, the servers at the far one, and what a command takes.

The one rule: every server is a child of the place and goes with it; a command that takes too long is ended, and told
as such.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from homeport.client.fingerprint import fingerprint_of

HERE = Path(__file__).parent
USER, PASSWORD = "alice", "correct horse battery"
HPTP_PORT, FTP_PORT, RSYNC_PORT, SSH_PORT, TLS_PORT = 19120, 19121, 19873, 19122, 19123
NEAR, FAR = "hptpA", "hptpB"
RSYNCD = "use chroot = no\nuid = root\ngid = root\n[x]\npath = {}\nread only = no\n"
SSHD = (
    "Port {port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/key.pub\nStrictModes no\nUsePAM no\n"
    "PidFile none\nPermitRootLogin yes\nMaxStartups 100\nMaxSessions 100\nSubsystem sftp internal-sftp\n"
)
SSH = (
    "Host host\n HostName {peer}\n Port {port}\n User root\n IdentityFile {folder}/key\n IdentitiesOnly yes\n"
    " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
)
_TICKS = os.sysconf("SC_CLK_TCK")
_REST_S = 0.3  # for a server to give back what a connection had: its time counts


@dataclass(frozen=True)
class Took:
    """Seconds by the wall, and of the processors of both sides; `over` when it was ended at its limit."""

    wall_s: float
    client_s: float
    server_s: float
    over: bool = False


@dataclass
class Place:
    """Where everything lies, and how a command is run on either end of the line."""

    folder: Path
    delay_ms: int
    environment: dict[str, str]
    peer: str = "127.0.0.1"
    fingerprint: str = ""
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def near(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", NEAR, *command] if self.delay_ms else list(command)

    def far(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", FAR, *command] if self.delay_ms else list(command)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def home(self) -> Path:
        """The account's home at the server."""
        return next((self.folder / "instance" / "homes").glob(f"*{USER}*"))

    @property
    def shared(self) -> Path:
        """What the other servers serve."""
        return self.folder / "rs"

    def begin(self, command: Sequence[str]) -> None:
        child = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.children.append(child)

    def run(self, command: Sequence[str], *, given: str | None = None) -> None:
        subprocess.run(command, env=self.environment, input=given, text=True, check=True, stdout=subprocess.DEVNULL)

    def timed(self, command: Sequence[str], limit_s: float) -> Took:
        """Run a client's command to its end, or to the limit. Raises CalledProcessError when it fails."""
        served, before = self._served_s(), resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        client = subprocess.Popen(
            self.near(*command),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        over = False
        try:
            _, complaint = client.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            over = True
            os.killpg(client.pid, signal.SIGKILL)
            _, complaint = client.communicate()
        wall = time.perf_counter() - began
        if client.returncode and not over:
            raise subprocess.CalledProcessError(client.returncode, command, stderr=complaint)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        time.sleep(_REST_S)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Took(wall, used, self._served_s() - served, over)

    def _served_s(self) -> float:
        return sum(_processor_s(child.pid) for child in self.children)


def _processor_s(pid: int) -> float:
    """What a process, its children that have ended, and those that live with theirs, took so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = sum(int(fields[index]) for index in (11, 12, 13, 14)) / _TICKS
    return own + sum(_processor_s(int(child)) for child in children)


@contextmanager
def standing(folder: Path, delay_ms: int, loss: float) -> Iterator[Place]:
    """A place with its line and all its servers; what earlier ones left in `folder` goes, but for what is moved."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("instance", "config", "state", "rs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    places = {"HOMEPORT_DIR": "instance", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}
    environment = {**os.environ, **{key: str(folder / name) for key, name in places.items()}}
    place = Place(folder, delay_ms, environment)
    with line(place, loss), _servers(place):
        yield place


@contextmanager
def line(place: Place, loss: float) -> Iterator[None]:
    """Two network namespaces joined by a long line; nothing for a delay of 0."""
    if not place.delay_ms:
        yield
        return
    program = place.path("wanlink")
    subprocess.run(["gcc", "-O2", "-o", program, str(HERE / "wanlink.c")], check=True)
    for name in (NEAR, FAR):
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    link = subprocess.Popen([program, NEAR, FAR, str(place.delay_ms), str(loss)], stdout=subprocess.PIPE)
    assert link.stdout is not None
    link.stdout.readline()
    place.peer = "10.77.0.2"
    try:
        yield
    finally:
        link.terminate()
        link.wait()
        link.stdout.close()
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextmanager
def _servers(place: Place) -> Iterator[None]:
    try:
        place.environment["HOMEPORT_PASSWORD"] = PASSWORD
        _start_homeport(place)
        place.run(place.near("homeport", "login", f"hp://{USER}@{place.peer}:{HPTP_PORT}"))
        del place.environment["HOMEPORT_PASSWORD"]  # from here on the device's token logs in
        _start_others(place)
        yield
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            place.run(["homeport", "stop"])
        for child in place.children:
            child.terminate()
            child.wait()


def _start_homeport(place: Place) -> None:
    others = [f"--set={name}.enabled=false" for name in ("ssh", "time", "ntp", "chat")]
    ports = [f"--set=hptp.port={HPTP_PORT}", f"--set=ftp.port={FTP_PORT}"]
    place.run(["homeport", "user", "add", USER, "--password-stdin"], given=PASSWORD)
    place.begin(place.far("homeport", "serve", *ports, *others))
    place.run(["homeport", "status", "--wait", "60"])
    certificate = (place.folder / "instance" / "tls" / "cert.pem").read_text()
    place.fingerprint = fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate))


def _start_others(place: Place) -> None:
    folder = place.folder
    place.shared.mkdir(exist_ok=True)
    (folder / "rsyncd.conf").write_text(RSYNCD.format(place.shared))
    place.begin(place.far("rsync", "--daemon", "--no-detach", f"--port={RSYNC_PORT}", f"--config={folder}/rsyncd.conf"))
    for name in ("key", "host_key"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "sshd.conf").write_text(SSHD.format(port=SSH_PORT, folder=folder))
    (folder / "ssh.conf").write_text(SSH.format(port=SSH_PORT, folder=folder, peer=place.peer))
    Path("/run/sshd").mkdir(exist_ok=True)
    place.begin(place.far("/usr/sbin/sshd", "-D", "-f", place.path("sshd.conf")))
    identity = [place.path("instance/tls/cert.pem"), place.path("instance/tls/key.pem")]
    place.begin(place.far(sys.executable, "-m", "benchmarks.bare_tls", "serve", str(TLS_PORT), *identity))
    for port in (RSYNC_PORT, SSH_PORT, TLS_PORT):
        _wait_for(place, port)


def _wait_for(place: Place, port: int) -> None:
    """Until somebody listens. Raises CalledProcessError after a while."""
    knock = f"import socket; socket.create_connection(('{place.peer}', {port}), 1).close()"
    for _ in range(50):
        tried = subprocess.run(place.near(sys.executable, "-c", knock), check=False, stderr=subprocess.DEVNULL)
        if tried.returncode == 0:
            return
        time.sleep(0.1)
    raise ConnectionError(f"nobody listens at {socket.getfqdn(place.peer)} port {port}")
