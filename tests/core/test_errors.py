"""The error tree: its drawing is the code, its sentences are exact, and no error loses its data on the way."""

import pickle

import pytest

from homeport.core import errors
from homeport.core.errors import HomeportError


def tree(of: type[HomeportError] = HomeportError) -> list[type[HomeportError]]:
    found = [of]
    for below in of.__subclasses__():
        if below.__module__ == errors.__name__:
            found += tree(below)
    return found


def test_the_docstring_draws_every_error() -> None:
    drawn = {word for word in (errors.__doc__ or "").replace("─", " ").split() if word.isidentifier()}
    assert {error.__name__ for error in tree()} <= drawn


SENTENCES: list[tuple[HomeportError, str]] = [
    (HomeportError(), "HomeportError"),
    (errors.PathError("/a"), "/a: something is wrong with it"),
    (errors.InvalidPath("/a", "a name cannot hold a NUL"), "/a: a name cannot hold a NUL"),
    (errors.NotFound("/a"), "/a: no such file or folder"),
    (errors.AlreadyExists("/a"), "/a: exists already"),
    (errors.RightMissing("/a", "delete"), "/a: this account has no right to delete here"),
    (errors.OffsetPastEnd("/a", 9, 4), "/a: cannot restart at byte 9, only 4 bytes are there"),
    (
        errors.SizeMismatch("/a", 9, 4),
        "/a: 9 bytes were announced, 4 came; what came is kept, resume to go on",
    ),
    (errors.DigestMismatch("/a", "aa", "bb"), "/a: SHA-256 aa was announced, bb came; nothing was stored"),
    (errors.SourceChanged("/a"), "/a: the file was cut while it was being sent"),
    (errors.QuotaExceeded("bytes", 10, 1, 5), "quota exceeded: 5 more bytes wanted, 1 of 10 free"),
    (errors.StorageFull(), "the server's disk is full; what came is kept, resume when there is room"),
    (errors.StorageFailed("EIO"), "the server's disk failed (EIO); try again, or tell the administrator"),
    (errors.LedgerBusy(), "this account's quota is being recounted; try again in a moment"),
    (errors.HomeUnavailable(), "this account's home is not available; tell the administrator"),
    (errors.LoginRefused("wrong password"), "login incorrect"),
    (errors.Banned(errors.TOO_MANY_FAILURES, 0.2), "too many failed logins; try again in 1 s"),
    (errors.Banned("our reason", 90.0), "logins from here are banned; try again in 90 s"),
    (
        errors.TooManySessions("this account", 3),
        "too many sessions for this account (limit 3); close one and try again",
    ),
    (errors.AccountNotFound("eve"), "no account is called 'eve'; `homeport user list` shows those there are"),
    (errors.AccountExists("eve"), "an account called 'eve' (or one that looks the same) exists already"),
    (errors.InvalidAccount("eve", "bad name"), "account 'eve': bad name"),
    (
        errors.TokenNotFound("eve", "x1"),
        "account 'eve' has no token 'x1'; `homeport user token list` shows those there are",
    ),
    (
        errors.TooManyTokens("eve", 64),
        "account 'eve' has 64 tokens, which is the limit; revoke one that is not used",
    ),
]


@pytest.mark.parametrize(("error", "sentence"), SENTENCES, ids=lambda value: type(value).__name__)
def test_the_sentence_says_what_and_why(error: HomeportError, sentence: str) -> None:
    assert str(error) == sentence


@pytest.mark.parametrize("error", [error for error, _ in SENTENCES], ids=lambda value: type(value).__name__)
def test_an_error_survives_pickling(error: HomeportError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
