from __future__ import annotations

import errno
import os

import pytest

from homeport.core.errno_table import storage_error, translate

FULL = "the server's disk is full; what came is kept, resume when there is room"
GONE = "this account's home is not available; tell the administrator"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOENT, "/x: no such file or folder"),
        (errno.EEXIST, "/x: exists already"),
        (errno.ENOTDIR, "/x: not a folder"),
        (errno.EISDIR, "/x: is a folder"),
        (errno.ENOTEMPTY, "/x: the folder is not empty"),
        (errno.EXDEV, "/x: a link leads out of the home"),
        (errno.ELOOP, "/x: a link leads out of the home"),
        (errno.ENXIO, "/x: not a regular file"),
        (errno.ENODEV, "/x: not a regular file"),
        (errno.EINVAL, "/x: the file system cannot hold this name or value"),
        (errno.EILSEQ, "/x: the file system cannot hold this name or value"),
        (errno.ENAMETOOLONG, "/x: the name is too long"),
        (errno.EMLINK, "/x: the folder holds as many folders as it can"),
        (errno.EACCES, "/x: the server has no access to it; tell the administrator"),
        (errno.EPERM, "/x: the server has no access to it; tell the administrator"),
        (errno.EROFS, "/x: it lies on a read-only file system; tell the administrator"),
        (errno.EBUSY, "/x: the system is using it; tell the administrator"),
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.ESTALE, GONE),
        (errno.ENOTCONN, GONE),
        (errno.EIO, "the server's disk failed (EIO); try again, or tell the administrator"),
        (errno.EMFILE, "the server's disk failed (EMFILE); try again, or tell the administrator"),
        (99999, "the server's disk failed (99999); try again, or tell the administrator"),
    ],
)
def test_every_number_has_its_sentence(number: int, sentence: str) -> None:
    assert str(translate(OSError(number, os.strerror(number), "/srv/homes/secret"), "/x")) == sentence


def test_an_error_without_a_number_is_a_failure() -> None:
    assert str(translate(OSError("odd"), "/x")) == (
        "the server's disk failed (0); try again, or tell the administrator"
    )


def test_one_operation_may_mean_something_else_by_a_number() -> None:
    error = translate(
        OSError(errno.EXDEV, "x"), "/x", {errno.EXDEV: lambda _path: storage_error(OSError(errno.EIO, "x"))}
    )
    assert str(error) == "the server's disk failed (EIO); try again, or tell the administrator"


def test_on_a_descriptor_no_name_is_at_fault() -> None:
    assert str(storage_error(OSError(errno.ENOENT, "x"))) == (
        "the server's disk failed (ENOENT); try again, or tell the administrator"
    )
