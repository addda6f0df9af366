"""The table itself: names, aliases, and what ftp.md of the design asks to be answered."""

from __future__ import annotations

import pytest

from homeport.protocols.ftp.commands import COMMANDS, OPTS_COMMANDS, SITE_COMMANDS, find, find_subcommand
from homeport.protocols.ftp.refused import REFUSED
from homeport.protocols.ftp.settings import PENDING, Settings

CARRIED_OUT = """USER PASS ACCT QUIT REIN PORT PASV EPRT EPSV TYPE MODE STRU RETR STOR STOU APPE ALLO REST ABOR RNFR
    RNTO DELE CWD CDUP PWD MKD RMD XCWD XCUP XPWD XMKD XRMD LIST NLST STAT SYST HELP NOOP SITE FEAT OPTS SIZE MDTM MLST
    MLSD MFMT AUTH PBSZ PROT CLNT HASH XCRC XMD5 MD5 XSHA XSHA1 XSHA256 XSHA512 AVBL RANG MFF HOST LANG COMB"""
NEVER = "CCC SMNT ADAT MIC CONF ENC LPRT LPSV MFCT THMB DSIZ ESTA ESTP CSID"
DROPPED = "GET POST PUT HEAD CONNECT OPTIONS EHLO"


@pytest.mark.parametrize("verb", CARRIED_OUT.split())
def test_carried_out(verb: str) -> None:
    row = find(verb.lower())
    assert row is not None
    assert row.refusal is None
    assert not row.drops


@pytest.mark.parametrize("verb", NEVER.split())
def test_refused_and_never_dropped(verb: str) -> None:
    row = find(verb)
    assert row is not None
    assert row.refusal is not None
    assert row.refusal[0] in (502, 504, 534)


@pytest.mark.parametrize("verb", DROPPED.split())
def test_dropped(verb: str) -> None:
    row = find(verb)
    assert row is not None
    assert row.drops


@pytest.mark.parametrize(
    "verb", ["HELP", "CHMOD", "QUOTA", "WHO", "UTIME", "CPFR", "CPTO", "SYMLINK", "IDLE", "EXPECT", "RESUME"]
)
def test_site(verb: str) -> None:
    row = find_subcommand(COMMANDS["SITE"], verb.lower())
    assert row is SITE_COMMANDS[verb]
    assert row.name == f"SITE {verb}"
    assert repr(row) == f"<SITE {verb}>"


@pytest.mark.parametrize("verb", ["UTF8", "UTF-8", "MLST", "HASH", "MODE"])
def test_opts(verb: str) -> None:
    row = find_subcommand(COMMANDS["OPTS"], verb)
    assert row is not None
    assert row in OPTS_COMMANDS.values()


def test_no_two_rows_answer_to_one_name() -> None:
    for table in (COMMANDS, SITE_COMMANDS, OPTS_COMMANDS):
        names = [name for row in table.values() for name in (row.verb, *row.aliases)]
        assert len(names) == len(set(names))
    assert all(COMMANDS[row.verb] == row for row in REFUSED)


def test_unknown() -> None:
    assert find("XYZ") is None
    assert find_subcommand(COMMANDS["SITE"], "EXEC") is None


def test_remembered_values_have_a_place() -> None:
    for row in (*COMMANDS.values(), *SITE_COMMANDS.values()):
        assert not row.remembers or hasattr(Settings(), PENDING[row.remembers][0])
