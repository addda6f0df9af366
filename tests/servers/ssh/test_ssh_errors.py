"""The table from core errors to status codes covers the tree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from homeport.core.errors import HomeportError, NotFound, QuotaExceeded, RightMissing
from homeport.protocols.sftp.constants import Status
from homeport.servers.ssh.errors import STATUSES, Refused, reply_to, status_of


def leaves(kind: type[HomeportError]) -> Iterator[type[HomeportError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for subclass in below:
        yield from leaves(subclass)


@pytest.mark.parametrize("kind", list(leaves(HomeportError)), ids=lambda kind: kind.__name__)
def test_every_leaf_has_its_code(kind: type[HomeportError]) -> None:
    assert kind in STATUSES
    assert STATUSES[kind] not in (Status.OK, Status.EOF)


def test_a_class_that_is_in_no_table_has_that_of_the_nearest_above() -> None:
    class Lost(NotFound):
        pass

    class Strange(HomeportError):
        pass

    assert status_of(Lost("/x")) is Status.NO_SUCH_FILE
    assert status_of(Strange()) is Status.FAILURE


def test_the_sentence_is_the_core_s_own() -> None:
    assert reply_to(RightMissing("/x", "delete")) == (
        Status.PERMISSION_DENIED,
        "/x: this account has no right to delete here",
    )
    assert reply_to(QuotaExceeded("bytes", 10, 1, 5)) == (
        Status.FAILURE,
        "quota exceeded: 5 more bytes wanted, 1 of 10 free",
    )
    assert reply_to(Refused(Status.OP_UNSUPPORTED, "no")) == (Status.OP_UNSUPPORTED, "no")
