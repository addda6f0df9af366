from __future__ import annotations

import importlib

import pytest

from homeport.cli.exit_codes import REFUSALS, TABLE, Exit, exit_code, is_expected, row_of
from homeport.cli.stopping import Terminated
from homeport.client import errors as client
from homeport.client.errors import ClientError
from homeport.config.problems import ConfigError
from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.daemon.errors import ControlRefused, DaemonError, NotRunning


def leaves(kind: type[BaseException]) -> set[type[BaseException]]:
    below = kind.__subclasses__()
    return {leaf for child in below for leaf in leaves(child)} if below else {kind}


@pytest.mark.parametrize("root", [HomeportError, DaemonError, ClientError])
def test_every_leaf_has_a_status(root: type[BaseException]) -> None:
    for leaf in leaves(root):
        assert row_of(leaf) is not None, leaf


@pytest.mark.parametrize("name", TABLE)
def test_every_row_names_an_error(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), BaseException)


def test_the_numbers_never_change() -> None:
    assert {status.name: int(status) for status in Exit} == {
        "DONE": 0,
        "OTHER": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "REFUSED": 4,
        "NETWORK": 5,
        "FULL": 6,
        "INTEGRITY": 7,
        "PARTIAL": 8,
        "SAFETY": 9,
        "IDENTITY": 10,
        "INCOMPATIBLE": 11,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("/a"), 3),
        (errors.RightMissing("/a", "write"), 4),
        (errors.QuotaExceeded("bytes", 1, 1, 2), 6),
        (errors.StorageFull(), 6),
        (errors.DigestMismatch("/a", "x", "y"), 7),
        (errors.OutsideHome("/a"), 9),
        (errors.AccountNotFound("bob"), 3),
        (errors.InvalidAccount("bob", "no"), 2),
        (ConfigError(()), 2),
        (NotRunning("/d"), 1),
        (ControlRefused("not-found", ""), 3),
        (ControlRefused("something new", ""), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (client.UsageError("x"), 2),
        (client.RemoteNotFound("x"), 3),
        (client.LoginFailed("x"), 4),
        (client.PermissionRefused("x"), 4),
        (client.ConnectionFailed("x"), 5),
        (client.Stalled("x"), 5),
        (client.NoRoom("x"), 6),
        (client.IntegrityMismatch("x", "a", "b"), 7),
        (client.SafetyRefused("x"), 9),
        (client.IdentityUnknown("x", "sha256:"), 10),
        (client.IdentityChanged("x", "a", "b"), 10),
        (client.TlsRefused("x"), 11),
        (client.ServerRefused("x"), 1),
        (ValueError(), 1),
    ],
)
def test_statuses(error: BaseException, status: int) -> None:
    assert exit_code(error) == status
    assert is_expected(error) == (not isinstance(error, ValueError))


def test_refusals_have_statuses() -> None:
    assert set(REFUSALS) == {"usage", "config", "not-found", "busy", "failed"}
