"""Every field's columns, and the values that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeport.core.account_fields import DEFAULTS, AccountFields, AccountLimits, columns_of
from homeport.core.errors import InvalidAccount
from homeport.core.rights import Rights
from homeport.core.schema import accounts

GIB = 2**30


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({}, {}),
        ({"home": None}, {"home": None}),
        ({"home": Path("/srv/anna's")}, {"home": "/srv/anna's"}),
        ({"rights": Rights.READ_ONLY}, {"rights": "list,read"}),
        ({"quota_bytes": 0}, {"quota_bytes": 0}),
        ({"quota_bytes": None, "max_files": 2**63 - 1}, {"quota_bytes": None, "max_files": 2**63 - 1}),
        ({"enabled": False, "allow_exec": True}, {"enabled": False, "allow_exec": True}),
        ({"expires_at": -1.5}, {"expires_at": -1.5}),
        (
            {"limits": AccountLimits(1, GIB, None)},
            {"max_sessions": 1, "upload_bytes_per_s": GIB, "download_bytes_per_s": None},
        ),
        ({"charset": "gb18030"}, {"charset": "gb18030"}),
        ({"charset": "latin-1"}, {"charset": "latin-1"}),
    ],
)
def test_fields_become_columns(fields: AccountFields, columns: dict[str, object]) -> None:
    assert columns_of("anna", fields) == columns


def test_the_defaults_fill_every_column_that_can_be_set() -> None:
    others = {"id", "name", "name_key", "argon2", "scram_sha256", "created_at", "password_changed_at"}
    assert set(columns_of("anna", DEFAULTS)) == {column.name for column in accounts.columns} - others


NO_CHARSET = "no character set for names is called {!r}; known are gb18030, latin-1, shift_jis, ..."
NO_HOME = "a home is an absolute path in UTF-8, without .."


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("home", Path("srv/anna"), NO_HOME),
        ("home", Path("/srv/../etc"), NO_HOME),
        ("home", Path("/srv/a\0"), NO_HOME),
        ("home", Path("/srv/\udcff"), NO_HOME),
        (
            "quota_bytes",
            -1,
            "the quota in bytes must be from 0 to 9223372036854775807, not -1; leave it out for no limit",
        ),
        (
            "max_files",
            2**63,
            "the quota of files must be from 0 to 9223372036854775807, not 9223372036854775808;"
            " leave it out for no limit",
        ),
        ("expires_at", float("nan"), "the date of expiry is no date"),
        ("expires_at", float("inf"), "the date of expiry is no date"),
        (
            "limits",
            AccountLimits(max_sessions=0),
            "the limit of sessions must be from 1 to 2147483647, not 0; leave it out for no limit",
        ),
        (
            "limits",
            AccountLimits(upload_bytes_per_s=0),
            "the upload rate must be from 1 to 9223372036854775807, not 0; leave it out for no limit",
        ),
        (
            "limits",
            AccountLimits(download_bytes_per_s=-5),
            "the download rate must be from 1 to 9223372036854775807, not -5; leave it out for no limit",
        ),
        *(
            ("charset", charset, NO_CHARSET.format(charset))
            for charset in ("", "klingon", "utf-16", "cp037", "hex", "a\0b", "../x", "x" * 33, "idna\udcff")
        ),
    ],
)
def test_values_that_cannot_be_meant_are_refused(field: str, value: Any, reason: str) -> None:
    fields: Any = {field: value}
    with pytest.raises(InvalidAccount) as caught:
        columns_of("anna", fields)
    assert str(caught.value) == f"account 'anna': {reason}"
