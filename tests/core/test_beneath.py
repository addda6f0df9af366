"""Both resolvers, one behaviour: the kernel's and the walk by hand pass the same table."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.jails import RESOLVERS, make_home, nothing_left_open

from homeport.core import beneath, openat2
from homeport.core.beneath import Resolver, WalkingResolver, best_resolver
from homeport.core.openat2 import KernelResolver

FOLDER = os.O_RDONLY | os.O_DIRECTORY
NO_FOLLOW = os.O_PATH | os.O_NOFOLLOW


@pytest.fixture(params=RESOLVERS)
def resolver(request: pytest.FixtureRequest) -> Resolver:
    found: Resolver = request.param
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = make_home(tmp_path)
    links = {
        "to-file": "file",
        "to-folder": "folder",
        "to-folder-slash": "folder/",
        "to-file-slash": "file/",
        "to-here": ".",
        "folder/to-up": "../file",
        "folder/to-root": "..",
        "folder/deep/winding": "../../folder/./deep//../inner",
        "to-link": "folder/to-up",
        "through-link": "to-folder/deep/../inner",
        "absolute": "/etc/passwd",
        "absolute-inside": f"{home}/file",
        "climbing": "../outside/secret",
        "climbing-and-back": "../home/file",
        "folder/climbing": "../../outside",
        "dangling": "nowhere",
        "loop": "loop",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "proc-root": "/proc/self/root",
        "bytes-\udcff": "file",
    }
    for name, target in links.items():
        os.symlink(target, os.fsencode(home / name))
    for number in range(40):
        os.symlink(f"chain-{number + 1}", home / f"chain-{number}")
    os.symlink("file", home / "chain-40")
    return home


@pytest.fixture
def root(home: Path) -> Iterator[int]:
    fd = os.open(home, os.O_RDONLY)
    with nothing_left_open():
        yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "flags", "leads_to"),
    [
        ("", os.O_PATH, ""),
        ("", FOLDER, ""),
        (".", os.O_PATH, ""),
        ("file", os.O_PATH, "file"),
        ("folder", os.O_PATH, "folder"),
        ("folder", FOLDER, "folder"),
        ("folder/deep", FOLDER | os.O_NOFOLLOW, "folder/deep"),
        ("folder/inner", os.O_PATH | os.O_NOFOLLOW, "folder/inner"),
        ("folder/..", FOLDER, ""),
        ("folder/deep/../..", os.O_PATH, ""),
        ("to-file", os.O_PATH, "file"),
        ("to-folder", FOLDER, "folder"),
        ("to-folder-slash", FOLDER, "folder"),
        ("to-folder/inner", os.O_PATH, "folder/inner"),
        ("to-here", os.O_PATH, ""),
        ("to-here/to-here/file", os.O_PATH, "file"),
        ("folder/to-up", os.O_PATH, "file"),
        ("folder/to-root", FOLDER, ""),
        ("folder/to-root/file", os.O_PATH, "file"),
        ("folder/deep/winding", os.O_PATH, "folder/inner"),
        ("to-link", os.O_PATH, "file"),
        ("through-link", os.O_PATH, "folder/inner"),
        ("chain-1", os.O_PATH, "file"),
        ("bytes-\udcff", os.O_PATH, "file"),
    ],
)
def test_what_lies_inside_is_opened(
    resolver: Resolver, root: int, home: Path, path: str, flags: int, leads_to: str
) -> None:
    fd = resolver.open(root, path.split("/") if path else [], flags)
    assert os.path.samestat(os.fstat(fd), os.stat(home / leads_to))
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("path", ["to-file", "absolute", "climbing", "dangling", "loop", "proc-root"])
def test_a_link_itself_can_be_opened_as_a_place(resolver: Resolver, root: int, path: str) -> None:
    fd = resolver.open(root, [path], NO_FOLLOW)
    assert stat.S_ISLNK(os.fstat(fd).st_mode)
    os.close(fd)


@pytest.mark.parametrize("flags", [os.O_PATH, FOLDER])
@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("..", errno.EXDEV),
        ("../home/file", errno.EXDEV),
        ("folder/../..", errno.EXDEV),
        ("folder/deep/../../../home/file", errno.EXDEV),
        ("absolute", errno.EXDEV),
        ("absolute-inside", errno.EXDEV),
        ("absolute/x", errno.EXDEV),
        ("climbing", errno.EXDEV),
        ("climbing-and-back", errno.EXDEV),
        ("folder/climbing/secret", errno.EXDEV),
        ("to-folder/climbing/secret", errno.EXDEV),
        ("proc-root", errno.EXDEV),
        ("proc-root/etc/passwd", errno.EXDEV),
        ("loop", errno.ELOOP),
        ("loop-a/x", errno.ELOOP),
        ("chain-0", errno.ELOOP),
        ("dangling", errno.ENOENT),
        ("nowhere/file", errno.ENOENT),
        ("file/x", errno.ENOTDIR),
        ("file/..", errno.ENOTDIR),
        ("to-file/x", errno.ENOTDIR),
        ("to-file-slash", errno.ENOTDIR),
        ("x" * 256, errno.ENAMETOOLONG),
        ("/etc/passwd", errno.EINVAL),
        ("fi\0le", errno.EINVAL),
    ],
)
def test_what_leads_elsewhere_is_refused(resolver: Resolver, root: int, path: str, number: int, flags: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        resolver.open(root, [path], flags)
    assert caught.value.errno == number


@pytest.mark.parametrize("path", ["file", "to-file", "folder/inner"])
@pytest.mark.parametrize("flags", [FOLDER, FOLDER | os.O_NOFOLLOW, NO_FOLLOW | os.O_DIRECTORY])
def test_only_a_folder_is_opened_as_one(resolver: Resolver, root: int, path: str, flags: int) -> None:
    with pytest.raises(NotADirectoryError):
        resolver.open(root, path.split("/"), flags)


def test_a_magic_link_of_proc_is_not_followed(resolver: Resolver) -> None:
    root = os.open("/proc/self", os.O_RDONLY)
    try:
        for path in (["cwd"], ["root", "etc", "passwd"], ["fd", str(root)]):
            with pytest.raises(OSError, match=r"Too many levels|cross-device"):
                resolver.open(root, path, os.O_PATH)
    finally:
        os.close(root)


def test_five_thousand_levels_are_refused_or_found_and_nothing_stays_open(resolver: Resolver, root: int) -> None:
    with pytest.raises(OSError, match="too long"):
        resolver.open(root, ["d"] * 5000, os.O_PATH)
    with pytest.raises(OSError, match=r"No such file"):
        resolver.open(root, ["d"] * 2000, os.O_PATH)


def test_the_walk_holds_a_bounded_number_of_folders(root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "_DEPTH_MAX", 1)
    with pytest.raises(OSError, match="too long"):
        WalkingResolver().open(root, ["folder", "deep"], os.O_PATH)


def test_the_kernel_is_preferred_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openat2, "available", lambda: True)
    assert isinstance(best_resolver(), KernelResolver)
    monkeypatch.setattr(openat2, "available", lambda: False)
    assert isinstance(best_resolver(), WalkingResolver)
