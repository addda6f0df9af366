"""OpenSSH's sftp and scp, rclone, lftp, sshfs and ssh-audit against the SSH server, each with its own means."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.live_server import PATIENCE_S, Account, LiveServer, attempt, call, require, wait_until

pytestmark = pytest.mark.interop

MakeFile = Callable[..., Path]
HOST = "127.0.0.1"


@dataclass
class Ssh:
    """An account with a key, and the files with which OpenSSH's programs reach it."""

    server: LiveServer
    account: Account
    folder: Path
    port: int

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def options(self) -> list[str | Path]:
        return ["-F", self.folder / "config"]

    @property
    def home(self) -> Path:
        return self.server.home(self.account)

    def sftp(self, *commands: str) -> str:
        return call([require("sftp"), *self.options, "-b", "-", "host"], stdin="\n".join(commands).encode())

    def sftp_fails(self, *commands: str) -> str:
        code, output = attempt([require("sftp"), *self.options, "-b", "-", "host"], stdin="\n".join(commands).encode())
        assert code
        return output

    def scp(self, *arguments: str | Path) -> str:
        return call([require("scp"), "-q", *self.options, *arguments])


@pytest.fixture
def ssh(server: LiveServer, account: Account, tmp_path: Path) -> Ssh:
    made = Ssh(server, account, tmp_path, server.json("status")[0]["services"]["ssh"]["port"])
    call([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", made.key])
    server.run("user", "key", "add", account.name, f"{made.key}.pub")
    kind, blob = (server.directory / "ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[{HOST}]:{made.port} {kind} {blob}\n")
    (tmp_path / "config").write_text(
        f"Host host\n HostName {HOST}\n Port {made.port}\n User {account.name}\n IdentityFile {made.key}\n"
        f" IdentitiesOnly yes\n BatchMode yes\n StrictHostKeyChecking yes\n UserKnownHostsFile {tmp_path}/known\n"
        " LogLevel ERROR\n"
    )
    return made


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Every entry below `folder` with its content; folders have None."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def tree(tmp_path: Path, make_file: MakeFile) -> Path:
    root = tmp_path / "tree"
    for number, folder in enumerate(("", "a", "a/b", "照片", ".hidden folder")):
        (root / folder).mkdir(parents=True)
        for name in ("one.bin", ".dotfile", "文件 2.txt", "empty"):
            size = 0 if name == "empty" else 1000 * number + len(name)
            (root / folder / name).write_bytes(make_file("content", size).read_bytes())
    return root


# OpenSSH


def test_sftp_stores_lists_and_fetches(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file()
    shown = ssh.sftp(f"put {film} /film", "ls -l /", "df", "mkdir /folder", "rename /film /folder/film", "ls /folder")
    assert "film" in shown
    assert (ssh.home / "folder/film").read_bytes() == film.read_bytes()
    ssh.sftp(f"get /folder/film {ssh.folder}/back", "rm /folder/film", "rmdir /folder")
    assert (ssh.folder / "back").read_bytes() == film.read_bytes()
    assert list(ssh.home.iterdir()) == []


def test_sftp_keeps_modes_and_times(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file(size=1000)
    film.chmod(0o640)
    os.utime(film, (1_600_000_000, 1_600_000_000))
    ssh.sftp(f"put -p {film} /film", "chmod 4755 /film")
    found = (ssh.home / "film").stat()
    assert (found.st_mtime, found.st_mode & 0o7777) == (1_600_000_000, 0o755)


def test_sftp_stores_and_fetches_a_tree(ssh: Ssh, tree: Path) -> None:
    ssh.sftp(f"put -r {tree} /")
    assert tree_of(ssh.home / "tree") == tree_of(tree)
    ssh.sftp(f"get -r /tree {ssh.folder}/back")
    assert tree_of(ssh.folder / "back") == tree_of(tree)


def kill_midway(ssh: Ssh, command: list[str | Path], grown: Callable[[], bool]) -> None:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ssh.folder)
    try:
        wait_until(grown, "some of the upload has come")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)


@pytest.mark.parametrize("resume", ["reput", "put -a"])
def test_sftp_goes_on_with_an_upload_that_was_killed(ssh: Ssh, make_file: MakeFile, resume: str) -> None:
    film = make_file()
    (ssh.folder / "batch").write_text(f"put {film} /film\n")
    slow = [require("sftp"), *ssh.options, "-l", "800", "-b", ssh.folder / "batch", "host"]
    kill_midway(ssh, slow, lambda: ssh.server.usage(ssh.account)["used_bytes"] > 100_000)
    assert not (ssh.home / "film").exists()
    wait_until(lambda: not ssh.server.json("who"), "the session has ended")
    kept = ssh.server.usage(ssh.account)["used_bytes"]
    assert 100_000 < kept < film.stat().st_size
    ssh.sftp(f"{resume} {film} /film")
    assert (ssh.home / "film").read_bytes() == film.read_bytes()
    ssh.server.assert_no_drift(ssh.account)


def test_sftp_goes_on_with_a_download(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file()
    ssh.sftp(f"put {film} /film")
    back = ssh.folder / "back"
    back.write_bytes(film.read_bytes()[:1_000_000])
    ssh.sftp(f"reget /film {back}")
    assert back.read_bytes() == film.read_bytes()


def test_sftp_is_told_why_not(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file(size=2_000_000)
    ssh.server.run("user", "set", ssh.account.name, "--quota", "1M")
    (ssh.home / "old").write_bytes(b"old")
    ssh.server.run("quota", "check", ssh.account.name)
    ssh.sftp_fails(f"put {film} /old")
    assert (ssh.home / "old").read_bytes() == b"old"
    assert "no such file or folder" in ssh.sftp_fails("get /missing").lower() or "not found" in ssh.sftp_fails(
        "get /missing"
    )
    ssh.sftp_fails("ln -s /etc/passwd /link")
    ssh.server.assert_no_drift(ssh.account)


@pytest.mark.parametrize("way", [[], ["-O"]], ids=["sftp", "old"])
def test_scp_both_ways(ssh: Ssh, make_file: MakeFile, tree: Path, way: list[str]) -> None:
    film = make_file()
    os.utime(film, (1_600_000_000, 1_600_000_000))
    ssh.scp(*way, "-p", film, "host:/film")
    assert (ssh.home / "film").read_bytes() == film.read_bytes()
    assert (ssh.home / "film").stat().st_mtime == 1_600_000_000
    ssh.scp(*way, "-p", "host:/film", ssh.folder / "back")
    assert (ssh.folder / "back").read_bytes() == film.read_bytes()
    ssh.scp(*way, "-r", tree, "host:/")
    assert tree_of(ssh.home / "tree") == tree_of(tree)
    ssh.scp(*way, "-r", "host:/tree", ssh.folder / "tree-back")
    assert tree_of(ssh.folder / "tree-back") == tree_of(tree)
    ssh.server.assert_no_drift(ssh.account)


@pytest.mark.parametrize("way", [[], ["-O"]], ids=["sftp", "old"])
def test_scp_never_leaves_the_home(ssh: Ssh, make_file: MakeFile, way: list[str]) -> None:
    film = make_file(size=10)
    code, _ = attempt([require("scp"), *way, "-q", *ssh.options, film, "host:../../../tmp/escaped"])
    assert code
    assert not Path("/tmp/escaped").exists()
    code, _ = attempt([require("scp"), *way, "-q", *ssh.options, "host:../../../etc/passwd", ssh.folder / "x"])
    assert code


def test_passwords_work_as_well(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file(size=100_000)
    asking = ssh.folder / "askpass"
    asking.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(ssh.account.password)}\n")
    asking.chmod(0o700)
    environment = {"SSH_ASKPASS": str(asking), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    options = ["-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"]
    command = [require("sftp"), *options, *ssh.options, "-b", "/dev/stdin", "host"]
    call([*options_before_batch(command)], stdin=f"put {film} /film\n".encode(), environment=environment)
    assert (ssh.home / "film").read_bytes() == film.read_bytes()


def options_before_batch(command: list[str | Path]) -> list[str | Path]:
    """sftp's -b sets BatchMode, which asks nobody: a batch comes by standard input instead."""
    return [word for word in command if word not in ("-b", "/dev/stdin")]


# Others


@pytest.fixture
def rclone(ssh: Ssh) -> Callable[..., str]:
    program = require("rclone")
    remote = f":sftp,host={HOST},port={ssh.port},user={ssh.account.name},key_file={ssh.key},shell_type=none:"
    flags = ["--config", f"{ssh.folder}/rclone.conf", "--retries", "1", "--low-level-retries", "1"]

    def run(verb: str, *arguments: str | Path) -> str:
        words = [
            remote + word.removeprefix("remote:") if isinstance(word, str) and word.startswith("remote:") else str(word)
            for word in arguments
        ]
        return call([program, verb, *flags, *words])

    return run


def test_rclone_copies_checks_and_moves(ssh: Ssh, tree: Path, rclone: Callable[..., str], make_file: MakeFile) -> None:
    make_file("tree/film.bin")
    rclone("copy", tree, "remote:tree")
    assert tree_of(ssh.home / "tree") == tree_of(tree)
    assert "film.bin" in rclone("lsf", "remote:tree")
    rclone("check", "--download", tree, "remote:tree")
    rclone("moveto", "remote:tree/film.bin", "remote:tree/other.bin")
    rclone("copy", "remote:tree", ssh.folder / "back")
    assert (ssh.folder / "back/other.bin").read_bytes() == (tree / "film.bin").read_bytes()
    rclone("purge", "remote:tree")
    assert list(ssh.home.iterdir()) == []
    ssh.server.assert_no_drift(ssh.account)


def test_rclone_syncs_only_what_changed(ssh: Ssh, tree: Path, rclone: Callable[..., str]) -> None:
    rclone("sync", tree, "remote:tree")
    before = (ssh.home / "tree/one.bin").stat().st_ino
    (tree / "a/one.bin").write_bytes(b"changed")
    rclone("sync", tree, "remote:tree")
    assert tree_of(ssh.home / "tree") == tree_of(tree)
    assert (ssh.home / "tree/one.bin").stat().st_ino == before


def lftp_script(ssh: Ssh, *commands: str) -> list[str | Path]:
    connect = f"ssh -a -x -F {ssh.folder}/config"
    settings = ["set cmd:fail-exit true", "set net:max-retries 1", f'set sftp:connect-program "{connect}"']
    script = "; ".join([*settings, "open sftp://host", *commands])
    return [require("lftp"), "-c", script]


def test_lftp_mirrors_a_tree_there_and_back(ssh: Ssh, tree: Path) -> None:
    call(lftp_script(ssh, f'mirror -R "{tree}" /tree'))
    assert tree_of(ssh.home / "tree") == tree_of(tree)
    call(lftp_script(ssh, f'mirror /tree "{ssh.folder / "back"}"', "rm -r /tree"))
    assert tree_of(ssh.folder / "back") == tree_of(tree)
    assert list(ssh.home.iterdir()) == []
    ssh.server.assert_no_drift(ssh.account)


def test_lftp_goes_on_with_an_upload_that_was_killed(ssh: Ssh, make_file: MakeFile) -> None:
    film = make_file()
    slow = lftp_script(ssh, "set net:limit-total-rate 100000", f"put {film} -o /film")
    kill_midway(ssh, slow, lambda: ssh.server.usage(ssh.account)["used_bytes"] > 100_000)
    wait_until(lambda: not ssh.server.json("who"), "the session has ended")
    call(lftp_script(ssh, f"put -c {film} -o /film"))
    assert (ssh.home / "film").read_bytes() == film.read_bytes()


@pytest.fixture
def mount(ssh: Ssh) -> Iterator[Path]:
    program = require("sshfs")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse that this user may open")
    point = ssh.folder / "mount"
    point.mkdir()
    code, output = attempt([program, "host:/", point, *ssh.options, "-o", "idmap=user"])
    if code and "fuse" in output.lower() and not os.environ.get("HOMEPORT_REQUIRE_CLIENTS"):
        pytest.skip(f"FUSE does not work here: {output}")
    assert not code, output
    yield point
    call([shutil.which("fusermount3") or require("fusermount"), "-u", "-z", point])


def test_sshfs_is_a_file_system(ssh: Ssh, mount: Path, make_file: MakeFile, tree: Path) -> None:
    film = make_file(size=3_000_000)
    shutil.copy(film, mount / "film")
    assert (mount / "film").read_bytes() == film.read_bytes()
    with (mount / "film").open("r+b") as file:  # in the middle, through one handle, read and written
        file.seek(1_000_000)
        file.write(b"changed")
        file.seek(1_000_000)
        assert file.read(7) == b"changed"
    wanted = film.read_bytes()[:1_000_000] + b"changed" + film.read_bytes()[1_000_007:]
    wait_until(lambda: (ssh.home / "film").read_bytes() == wanted, "the changed file is in place")
    with (mount / "film").open("ab") as file:
        file.write(b"appended")
    wait_until(lambda: (ssh.home / "film").read_bytes() == wanted + b"appended", "what was appended is in place")
    os.truncate(mount / "film", 10)
    assert (mount / "film").read_bytes() == wanted[:10]
    shutil.copytree(tree, mount / "tree", copy_function=shutil.copy)
    wait_until(lambda: tree_of(ssh.home / "tree") == tree_of(tree), "the whole tree is in place")
    (mount / "film").rename(mount / "tree/film")
    assert sorted(os.listdir(mount)) == ["tree"]
    shutil.rmtree(mount / "tree")
    assert list(ssh.home.iterdir()) == []
    time.sleep(0)
    ssh.server.assert_no_drift(ssh.account)


def test_sshfs_shows_the_quota(ssh: Ssh, mount: Path) -> None:
    ssh.server.run("user", "set", ssh.account.name, "--quota", "1M")
    room = os.statvfs(mount)
    assert room.f_blocks * room.f_frsize == 1 << 20
    with pytest.raises(OSError), (mount / "big").open("wb") as file:  # noqa: PT011 - which errno is the client's affair
        file.write(bytes(2_500_000))
    assert ssh.server.usage(ssh.account)["used_bytes"] <= 1 << 20


def test_ssh_audit_has_nothing_to_say(ssh: Ssh) -> None:
    _, output = attempt([require("ssh-audit"), "-n", "-p", str(ssh.port), HOST])
    assert "(kex) curve25519-sha256" in output
    assert "[fail]" not in output
    # What it is too old to have heard of, it warns of; and a new one of whatever quantum computers might break one day.
    known = re.compile(
        r"\(kex\) (kex-strict-s-v00@openssh\.com|mlkem768x25519-sha256) +-- \[warn\] unknown algorithm"
        r"|\[warn\] does not provide protection against post-quantum attacks"
    )
    complaints = [line for line in output.splitlines() if "[warn]" in line and not known.search(line)]
    assert complaints == []


def test_a_changed_host_key_would_be_noticed_for_it_never_changes(ssh: Ssh) -> None:
    key = ssh.server.directory / "ssh/ssh_host_ed25519_key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    ssh.server.stop()
    ssh.server.settings = ssh.server.settings | {"ssh.port": str(ssh.port)}
    ssh.server.start()
    assert key.read_bytes() == before
    assert ssh.sftp("pwd")
