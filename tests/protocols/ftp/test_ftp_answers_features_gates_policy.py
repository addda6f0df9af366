"""What the engine answers alone: parameters, options, FEAT and HELP."""

from __future__ import annotations

import pytest
from tests.protocols.ftp.driver import OPEN, Driver, logged_in

from homeport.protocols.ftp.answers import ANSWERS
from homeport.protocols.ftp.commands import COMMANDS, OPTS_COMMANDS, SITE_COMMANDS, Offer, Prior
from homeport.protocols.ftp.gates import OFFERS, PRIORS
from homeport.protocols.ftp.policy import Policy, TlsPolicy
from homeport.protocols.ftp.session import Session

PLAIN = Policy(tls=TlsPolicy.OFF, private_data=False, active=False, mode_z=False, hosts=frozenset({"files.example"}))

DIALOGUES = [
    ("TYPE i", "200 TYPE is I."),
    ("TYPE A N", "200 TYPE is A."),
    ("TYPE a", "200 TYPE is A."),
    ("TYPE L 8", "200 TYPE is L 8."),
    ("TYPE L 7", "504 Only TYPE A, A N, I and L 8 are here."),
    ("TYPE A T", "504 Only TYPE A, A N, I and L 8 are here."),
    ("TYPE E", "504 Only TYPE A, A N, I and L 8 are here."),
    ("TYPE", "501 Syntax: TYPE A|A N|I|L 8 (an argument is missing)."),
    ("MODE s", "200 MODE is S."),
    ("MODE Z", "200 MODE is Z."),
    ("MODE B", "504 Only MODE S and Z are here."),
    ("STRU f", "200 STRU is F."),
    ("STRU R", "504 Only STRU F is here."),
    ("ACCT x", "202 No account information is needed."),
    ("CLNT FileZilla", "200 Noted."),
    ("SYST", "215 UNIX Type: L8"),
    ("NOOP x", "200 Here."),
    ("LANG", "200 Replies are in English."),
    ("LANG en-GB", "200 Replies are in English."),
    ("LANG zh", "504 Replies are in English only."),
    ("HOST x", "503 HOST comes before USER."),
    ("OPTS UTF8 ON", "200 Names are in utf-8."),
    ("OPTS utf-8", "200 Names are in utf-8."),
    ("OPTS UTF8 OFF", "200 Names are in gb18030."),
    ("OPTS UTF8 MAYBE", "501 Syntax: OPTS UTF8 ON|OFF."),
    ("OPTS MLST Type;SIZE;nothing;", "200 MLST OPTS type;size;"),
    ("OPTS MLST", "200 MLST OPTS "),
    ("OPTS HASH", "200 SHA-256"),
    ("OPTS HASH sha-512", "200 SHA-512"),
    ("OPTS HASH ROT13", "504 Unknown algorithm; there are SHA-256, SHA-512, SHA-1, MD5, CRC32."),
    ("OPTS MODE Z LEVEL 9", "200 MODE Z LEVEL is 9."),
    ("OPTS MODE Z LEVEL 10", "501 Syntax: OPTS MODE Z LEVEL 0-9."),
    ("OPTS MODE Z ENGINE 5", "501 Syntax: OPTS MODE Z LEVEL 0-9."),
    ("HELP NOTHING", "502 No such command."),
    ("HELP GET", "502 No such command."),
    ("SITE HELP NOTHING", "502 No such SITE command."),
    ("HELP xcwd", "214-Syntax: CWD path\r\n Go to a folder.\r\n214 (RFC 959)"),
    ("SITE HELP chmod",
     "214-Syntax: SITE CHMOD mode path\r\n Set the permission bits, three octal digits.\r\n214 (custom)"),
    ("SMNT x", "502 Not implemented here, and not planned."),
    ("MFCT 2020 x", "502 Not implemented here, and not planned."),
    ("XYZ", "500 Unknown command."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reply"), DIALOGUES)
def test_answers(line: str, reply: str) -> None:
    assert logged_in().tell(line) == reply + "\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("HOST files.EXAMPLE", "220 Host accepted."),
        ("HOST other.example", "504 No such host here."),
        ("HOST a b", "501 Syntax: HOST name (a host name or an address in brackets is wanted)."),
    ],
)
def test_host(line: str, reply: str) -> None:
    assert Driver(PLAIN).tell(line) == reply + "\r\n"


def test_a_host_in_brackets() -> None:
    driver = Driver()
    assert driver.tell("HOST [::1]") == "220 Host accepted.\r\n"
    assert driver.engine.session.host == "[::1]"
    driver.tell("CLNT x")
    assert driver.engine.session.client == "x"


def test_feat_marks_what_is_chosen() -> None:
    driver = logged_in()
    driver.tell("OPTS MLST size;modify;")
    driver.tell("OPTS HASH MD5")
    lines = driver.tell("FEAT").split("\r\n")
    assert lines[0] == "211-Features:"
    assert lines[-2:] == ["211 End", ""]
    body = lines[1:-2]
    assert body == sorted(body)
    assert all(line.startswith(" ") and not line.startswith("  ") for line in body)
    assert " MLST type;size*;modify*;perm;unique;UNIX.mode;" in body
    assert " HASH SHA-256;SHA-512;SHA-1;MD5*;CRC32" in body
    for line in (
        "AUTH TLS",
        "PBSZ",
        "PROT",
        "UTF8",
        "MODE Z",
        "REST STREAM",
        "TVFS",
        "XSHA",
        "XSHA256",
        "MFMT",
        "SIZE",
    ):
        assert f" {line}" in body
    assert not any("MLSD" in line for line in body)  # MLST stands for both (RFC 3659 section 7.8)


def test_feat_is_silent_about_what_is_not_offered() -> None:
    feat = Driver(PLAIN).tell("FEAT")
    for word in ("AUTH", "PROT", "PBSZ", "EPRT", "MODE Z"):
        assert word not in feat
    driver = logged_in(PLAIN)
    for line in ("AUTH TLS", "PORT 127,0,0,1,10,1", "EPRT |1|127.0.0.1|2561|", "OPTS MODE Z LEVEL 3"):
        assert driver.tell(line) == "502 Not offered by this server.\r\n"
    assert driver.tell("MODE Z") == "504 Only MODE S is here.\r\n"


def test_help_names_every_command_that_is_carried_out() -> None:
    driver = logged_in()
    words = driver.tell("HELP").split()
    for row in COMMANDS.values():
        assert (row.verb in words) == (row.refusal is None and not row.drops)
    site = driver.tell("SITE HELP").split()
    assert "CHMOD" in site
    assert "SYMLINK" not in site


def test_the_tables_are_whole() -> None:
    assert set(OFFERS) == set(Offer)
    assert set(PRIORS) == set(Prior)
    names = {row.name for table in (COMMANDS, SITE_COMMANDS, OPTS_COMMANDS) for row in table.values()}
    assert set(ANSWERS) <= names


@pytest.mark.parametrize(
    ("private_data", "tls", "needed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_a_private_control_connection_needs_private_data_unless_the_policy_leaves_it_open(
    private_data: bool, tls: bool, needed: bool
) -> None:
    policy = Policy(tls=TlsPolicy.OPTIONAL, private_data=private_data)
    assert Session(policy, tls=tls).needs_private_data is needed


def test_policy() -> None:
    assert Policy().private_data
    assert OPEN.tls_offered
    assert not OPEN.tls_required
