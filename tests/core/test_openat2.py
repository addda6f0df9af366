from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

import pytest

from homeport.core import openat2
from homeport.core.beneath import WalkingResolver
from homeport.core.errors import WouldBlock
from homeport.core.openat2 import KernelResolver, available


@pytest.fixture(autouse=True)
def _asked_afresh() -> Iterator[None]:
    available.cache_clear()
    yield
    available.cache_clear()


def _failing(monkeypatch: pytest.MonkeyPatch, failures: list[int]) -> None:
    real = openat2._syscall

    def fake(*arguments: object) -> int:
        if failures:
            ctypes.set_errno(failures.pop(0))
            return -1
        return int(real(*arguments))

    monkeypatch.setattr(openat2, "_syscall", fake)


@pytest.mark.parametrize(
    ("failure", "is_there"), [(errno.ENOSYS, False), (errno.EPERM, False), (errno.EMFILE, True), (errno.EACCES, True)]
)
def test_it_is_missing_only_where_the_kernel_or_a_filter_says_so(
    monkeypatch: pytest.MonkeyPatch, failure: int, is_there: bool
) -> None:
    _failing(monkeypatch, [failure])
    assert available() is is_there


def test_it_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = available()
    _failing(monkeypatch, [errno.ENOSYS])
    assert available() is first


def test_a_race_seen_by_the_kernel_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, [errno.EAGAIN, errno.EINTR, errno.EAGAIN])
    root = os.open("/", os.O_RDONLY)
    os.close(KernelResolver().open(root, [], os.O_PATH))
    os.close(root)


def test_an_endless_race_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, [errno.EAGAIN] * 1000)
    with pytest.raises(BlockingIOError):
        KernelResolver().open(-1, ["x"], os.O_PATH)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (errno.EAGAIN, WouldBlock),
        (errno.EINVAL, WouldBlock),
        (errno.ENOENT, FileNotFoundError),
        (errno.EXDEV, OSError),
    ],
)
def test_what_is_not_in_memory_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, failure: int, kind: type[Exception]
) -> None:
    _failing(monkeypatch, [failure])
    with pytest.raises(kind):
        KernelResolver().open_cached(-1, ["x"], os.O_PATH)


@pytest.mark.skipif(not available(), reason="this kernel has no openat2")
def test_what_is_in_memory_is_opened_at_once() -> None:
    root = os.open("/", os.O_RDONLY)
    os.close(KernelResolver().open(root, [], os.O_PATH))
    os.close(KernelResolver().open_cached(root, [], os.O_PATH))
    os.close(root)


def test_a_walk_never_promises_not_to_wait() -> None:
    with pytest.raises(WouldBlock):
        WalkingResolver().open_cached(-1, ["x"], os.O_PATH)
