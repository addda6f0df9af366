from __future__ import annotations

from collections.abc import Iterator

import pytest

from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.servers.ftp.data import DataLost, DataRefused
from homeport.servers.ftp.errors import CODES, Refused, code_of, reply_to, sentence


def leaves(kind: type[HomeportError] = HomeportError) -> Iterator[type[HomeportError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for child in below:
        yield from leaves(child)


def test_every_leaf_has_a_code_and_nothing_else_has() -> None:
    assert {leaf for leaf in leaves() if leaf.__module__ == "homeport.core.errors"} == set(CODES)
    assert all(400 <= code < 600 for code in CODES.values())


def test_what_may_work_later_is_4xx() -> None:
    later = (errors.Busy, errors.StorageFull, errors.LedgerBusy, errors.StorageFailed, errors.HomeUnavailable)
    assert {CODES[kind] // 100 for kind in later} == {4}


def test_an_error_of_tomorrow_gets_a_code_too() -> None:
    class Novel(HomeportError):
        pass

    class Special(errors.NotFound):
        pass

    assert code_of(Novel()) == 451
    assert code_of(Special("/a")) == 550


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (errors.NotFound("/a b"), (550, "/a b: no such file or folder.")),
        (
            errors.QuotaExceeded("bytes", limit=10, free=2, wanted=3),
            (552, "Quota exceeded: 3 more bytes wanted, 2 of 10 free."),
        ),
        (Refused(504, "Not so."), (504, "Not so.")),
        (DataRefused("No port."), (425, "No port.")),
        (DataRefused("Not resumed.", 522), (522, "Not resumed.")),
        (DataLost("Gone."), (426, "Gone.")),
    ],
)
def test_replies_are_sentences(error: Refused | HomeportError | DataLost, reply: tuple[int, str]) -> None:
    assert reply_to(error) == reply


def test_nothing_is_a_sentence_too() -> None:
    assert sentence("") == "."
