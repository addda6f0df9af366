from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.jails import at, nothing_left_open

from homeport.core import locks
from homeport.core import stages as stages_module
from homeport.core.count import Count
from homeport.core.errors import (
    Busy,
    HomeportError,
    HomeUnavailable,
    StageElsewhere,
    StorageFailed,
    StorageFull,
)
from homeport.core.jail import Jail
from homeport.core.paths import VirtualPath
from homeport.core.stages import Stage, StageFolder, stage_name

PATH = at("folder/file")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "_MOMENTS", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StageFolder]:
    with nothing_left_open(), StageFolder(tmp_path / "stage") as folder:
        yield folder


@pytest.fixture
def jail(tmp_path: Path) -> Iterator[Jail]:
    (tmp_path / "home").mkdir()
    with Jail(tmp_path / "home") as jail:
        yield jail


def stage_of(folder: StageFolder, content: bytes, path: VirtualPath = PATH, account: int = 7) -> str:
    with folder.open_or_create(account, path) as stage:
        stage.charged()
        os.write(stage.fd, content)
        return stage.name


def test_a_stage_is_private_named_by_its_path_and_continued(folder: StageFolder, tmp_path: Path) -> None:
    with folder.open_or_create(7, PATH) as stage:
        assert (stage.created, stage.size) == (True, 0)
        stage.charged()
        os.write(stage.fd, b"half")
        assert not os.get_inheritable(stage.fd)
    file = tmp_path / "stage" / "7" / stage_name(PATH)
    assert file.read_bytes() == b"half"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent, file.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    with folder.open_or_create(7, PATH) as stage:
        assert (stage.created, stage.size) == (False, 4)
        stage.truncate(1)
        assert stage.size == 1


def test_stages_of_other_paths_and_accounts_are_others(folder: StageFolder) -> None:
    paths = [at("a"), at("A"), at("a/b"), at("\udcff"), at("\N{LATIN SMALL LETTER E WITH ACUTE}"), at("e\u0301")]
    assert len({stage_name(path) for path in paths}) == len(paths)
    with folder.open_or_create(7, PATH), folder.open_or_create(8, PATH), folder.open_or_create(7, at("x")):
        assert folder.accounts() == [7, 8]


def test_a_stage_has_one_writer_at_a_time(folder: StageFolder) -> None:
    with folder.open_or_create(7, PATH):
        with pytest.raises(Busy) as caught:
            folder.open_or_create(7, PATH)
        assert str(caught.value) == (
            "/folder/file: another upload of this file is under way; try again when it has ended"
        )
        with pytest.raises(Busy):
            folder.remove(7, PATH)
    folder.open_or_create(7, PATH).close()


def test_another_process_is_kept_out_until_it_ends(folder: StageFolder, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from homeport.core.stages import StageFolder; from homeport.core.paths import ROOT\n"
        "stage = StageFolder(Path(sys.argv[1])).open_or_create(7, ROOT.join('folder/file'))\n"
        "stage.charged()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "stage")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy):
            folder.open_or_create(7, PATH)
        holder.kill()
    with folder.open_or_create(7, PATH) as stage:
        assert not stage.created


def test_what_is_in_place_no_longer_keeps_the_path(folder: StageFolder, jail: Jail) -> None:
    with folder.open_or_create(7, PATH) as first:
        os.write(first.fd, b"first")
        jail.install(first.directory_fd, first.name, at("file"))
        with folder.open_or_create(7, PATH) as second:
            assert second.created
            second.charged()
            assert not first.is_staged()
            first.remove()  # its name is another's now
            assert folder.size_of(7, PATH) == 0
    assert jail.stat(at("file")).size == 5


def test_a_removed_stage_is_gone_and_its_path_free(folder: StageFolder) -> None:
    with folder.open_or_create(7, PATH) as stage:
        stage.remove()
        stage.remove()
        assert folder.size_of(7, PATH) is None
        with folder.open_or_create(7, PATH) as other:
            assert other.created
    stage.close()


def _between(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], None], times: int = 1) -> None:
    """Do `deed` after a stage was opened and before it is locked."""
    real = locks.try_exclusive
    left = [times]

    def late(fd: int) -> bool:
        if left[0]:
            left[0] -= 1
            deed()
        return real(fd)

    monkeypatch.setattr(stages_module, "try_exclusive", late)


def test_a_lock_on_what_was_put_into_place_meanwhile_does_not_count(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stage_of(folder, b"old")
    _between(monkeypatch, lambda: os.rename(tmp_path / "stage" / "7" / name, tmp_path / "in-place"))
    with folder.open_or_create(7, PATH) as stage:
        assert (stage.created, stage.size) == (True, 0)
    assert (tmp_path / "in-place").read_bytes() == b"old"


def test_a_stage_that_always_slips_away_is_busy(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stage" / "7" / stage_name(PATH)
    _between(monkeypatch, file.unlink, 1000)
    with pytest.raises(Busy):
        folder.open_or_create(7, PATH)


def test_a_stage_gone_between_two_looks_is_made_anew(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stage" / "7" / stage_of(folder, b"old")
    real = os.open

    def open_(path: str | Path, flags: int, *args: object, **kwargs: object) -> int:
        if path == file.name and not flags & os.O_CREAT and file.exists():
            file.unlink()
        return real(path, flags, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_)
    with folder.open_or_create(7, PATH) as stage:
        assert stage.created


def test_of_many_who_come_at_once_one_gets_the_stage(folder: StageFolder) -> None:
    got: list[Stage] = []
    busy: list[Busy] = []
    start = threading.Barrier(8)

    def come() -> None:
        start.wait(10)
        try:
            got.append(folder.open_or_create(7, PATH))
        except Busy as error:
            busy.append(error)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(busy), got[0].created) == (1, 7, True)
    got[0].close()


def test_what_is_there_is_told_and_counted(folder: StageFolder, tmp_path: Path) -> None:
    assert (folder.size_of(7, PATH), folder.of(7), folder.count(7), folder.accounts()) == (None, [], Count(), [])
    name = stage_of(folder, b"half")
    stage_of(folder, b"more", at("other"))
    (tmp_path / "stage" / "7" / "stranger").write_bytes(b"not a stage")
    (tmp_path / "stage" / "lost+found").mkdir()
    assert folder.size_of(7, PATH) == 4
    assert folder.size_of(7, at("nothing")) is None
    assert folder.count(7) == Count(8, 2)
    assert {record.name: record.size for record in folder.of(7)} == {name: 4, stage_name(at("other")): 4}
    assert folder.accounts() == [7]


def test_a_stage_is_removed_by_its_path(folder: StageFolder) -> None:
    assert folder.remove(7, PATH) == Count()
    stage_of(folder, b"half")
    assert folder.remove(7, at("other")) == Count()
    assert folder.remove(7, PATH) == Count(4, 1)
    assert folder.size_of(7, PATH) is None


def test_a_stage_is_dropped_by_its_own_name_unless_it_is_being_written(folder: StageFolder) -> None:
    assert folder.drop(7, stage_name(PATH)) == Count()
    name = stage_of(folder, b"half")
    with folder.open_or_create(7, PATH):
        assert folder.drop(7, name) is None
    assert folder.drop(7, name) == Count(4, 1)
    assert folder.drop(7, name) == Count()


def test_who_replaces_leaves_the_blanks_of_other_names_until_there_are_many(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages_module, "_BLANKS_KEPT", 2)
    names = [stage_name(at(name)) for name in ("one", "two", "three")]

    def leave_blank(path: VirtualPath) -> None:
        with folder.open_or_create(7, path, replacing=True) as stage:
            stage.took_place()

    leave_blank(at("one"))
    leave_blank(at("two"))
    assert sorted(os.listdir(tmp_path / "stage" / "7")) == sorted(names[:2])
    leave_blank(at("two"))  # its own
    assert sorted(os.listdir(tmp_path / "stage" / "7")) == sorted(names[:2])
    leave_blank(at("three"))  # there are many now: that of `two` is renamed
    assert sorted(os.listdir(tmp_path / "stage" / "7")) == sorted([names[0], names[2]])


def test_old_stages_expire_and_those_being_written_stay(folder: StageFolder, tmp_path: Path) -> None:
    assert folder.expire(7, 60, 1000) == Count()
    for name, age in (("old", 61), ("at-age", 60), ("young", 59), ("held", 1000)):
        file = tmp_path / "stage" / "7" / stage_of(folder, name.encode(), at(name))
        os.utime(file, (1000 - age, 1000 - age))
    with folder.open_or_create(7, at("held")):
        assert folder.expire(7, 60, 1000) == Count(len("old") + len("at-age"), 2)
    assert [record.size for record in folder.of(7) if record.size == len("young")] == [len("young")]
    assert folder.count(7) == Count(len("young") + len("held"), 2)


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_stage_that_goes_while_it_expires_is_nobodys(
    folder: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    file = tmp_path / "stage" / "7" / stage_of(folder, b"old")
    if when == "between":
        _between(monkeypatch, file.unlink)
        assert folder.expire(7, 0, 2e9) == Count()
        return
    real = stages_module._remove_unlocked

    def late(*args: object) -> Count | None:
        file.unlink()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stages_module, "_remove_unlocked", late)
    assert folder.expire(7, 0, 2e9) == Count()


def test_a_planted_link_or_pipe_is_no_stage(folder: StageFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "stage" / "7").mkdir()
    (tmp_path / "stage" / "7" / stage_name(PATH)).symlink_to(tmp_path / "secret")
    with pytest.raises(StorageFailed):
        folder.open_or_create(7, PATH)
    assert folder.count(7) == Count()
    (tmp_path / "stage" / "8").symlink_to(tmp_path)
    with pytest.raises(StorageFailed):
        folder.open_or_create(8, PATH)


def test_a_stage_folder_beside_the_home_will_do(folder: StageFolder, jail: Jail, tmp_path: Path) -> None:
    folder.require_beside(jail)
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    elsewhere = shm / f"homeport-test-{os.getpid()}"
    try:
        with StageFolder(elsewhere) as other, pytest.raises(StageElsewhere, match="lie on different file systems"):
            other.require_beside(jail)
    finally:
        elsewhere.rmdir()


def test_a_stage_folder_behind_another_mount_of_the_same_disk_will_not_do(jail: Jail, tmp_path: Path) -> None:
    with mounted("--bind", str(tmp_path), on=tmp_path / "mounted") as place, StageFolder(place / "stage") as folder:
        with pytest.raises(StageElsewhere):
            folder.require_beside(jail)
        with folder.open_or_create(7, PATH) as stage, pytest.raises(StageElsewhere):
            jail.install(stage.directory_fd, stage.name, at("file"))


def test_a_stage_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "no" / "stage", tmp_path / "file"):
        with pytest.raises(StorageFailed):
            StageFolder(place)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageFailed), (errno.EMFILE, StorageFailed)]
)
@pytest.mark.parametrize("call", ["open", "ftruncate", "fstat", "unlink", "scandir"])
def test_a_disk_that_fails_is_told_and_nothing_stays_open(
    folder: StageFolder, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type[HomeportError]
) -> None:
    stage_of(folder, b"half")
    stage = folder.open_or_create(7, at("other"))

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    deeds: dict[str, Callable[[], object]] = {
        "open": lambda: folder.open_or_create(7, PATH),
        "ftruncate": lambda: stage.truncate(0),
        "fstat": lambda: folder.open_or_create(7, PATH),
        "unlink": stage.remove,
        "scandir": lambda: folder.of(7),
    }
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(kind):
            deeds[call]()
    stage.close()


class mounted:  # noqa: N801
    """A file system mounted for the block; skips where that is not allowed."""

    def __init__(self, *options: str, on: Path) -> None:
        self._options = options
        self._on = on

    def __enter__(self) -> Path:
        if os.getuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root may mount")
        self._on.mkdir()
        done = subprocess.run(["mount", *self._options, str(self._on)], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode(errors='replace').strip()}")
        return self._on

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self._on)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB with a home and a stage folder."""
    with mounted("-t", "tmpfs", "-o", "size=256k,nr_inodes=32", "tmpfs", on=tmp_path / "disk") as place:
        (place / "home").mkdir()
        yield place


def test_a_disk_that_is_really_full_is_told_and_passes(small_disk: Path) -> None:
    with Jail(small_disk / "home") as jail, StageFolder(small_disk / "stage") as folder:
        folder.require_beside(jail)
        with folder.open_or_create(7, PATH) as stage:
            stage.charged()
            with pytest.raises(OSError, match="No space left"):  # noqa: PT012
                for _ in range(100):
                    os.write(stage.fd, bytes(4096))
            filled = stage.size
            assert 0 < filled <= 256 * 1024
            while jail.free_bytes():  # a last page or two
                os.write(stage.fd, bytes(1))
            with pytest.raises(StorageFull):
                fill_up(jail)
            assert jail.install(stage.directory_fd, stage.name, at("whole")) is None
        jail.remove_file(at("whole"))
        jail.make_directory(at("again"))
        assert folder.count(7) == Count()


def fill_up(jail: Jail) -> None:
    """Make folders until the disk has no more inodes."""
    for number in range(100):
        jail.make_directory(at(f"folder-{number}"))


def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    with Jail(small_disk / "home") as jail, StageFolder(small_disk / "stage") as folder:
        os.close(jail.create_exclusive(at("file")))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        why = r"^/file: it lies on a read-only file system; tell the administrator$"
        for deed in (jail.remove_file, lambda path: jail.set_mode(path, 0o600), lambda path: jail.set_times(path, 0)):
            with pytest.raises(HomeportError, match=why):
                deed(at("file"))
        os.close(jail.open_file(at("file")))
        with pytest.raises(StorageFailed, match=r"EROFS"):
            folder.open_or_create(7, PATH)


def test_a_disk_taken_away_is_unavailable_to_the_next_session(small_disk: Path) -> None:
    home = small_disk / "home"
    with Jail(home) as jail:
        os.close(jail.create_exclusive(at("file")))
        os.rename(home, small_disk / "away")
        with pytest.raises(HomeUnavailable):
            Jail(home)
        assert jail.stat(at("file")).size == 0
