"""What commands set for the coming transfer, how long it holds, and where data may go."""

from __future__ import annotations

import pytest
from tests.protocols.ftp.driver import Driver, logged_in

from homeport.protocols.ftp.events import Request


def requests(driver: Driver) -> list[str]:
    return [event.command.name for event in driver.events() if isinstance(event, Request)]


@pytest.mark.parametrize(
    ("before", "line", "left"),
    [
        ("REST 5", "RETR x", 5),
        ("REST 5", "STOR x", 5),
        ("REST 5", "APPE x", 5),
        ("REST 5\r\nPASV", "RETR x", 5),
        ("REST 5\r\nEPSV", "RETR x", 5),
        ("REST 5\r\nPORT 127,0,0,1,10,1", "RETR x", 5),
        ("REST 5\r\nALLO 9", "STOR x", 5),
        ("REST 5\r\nNOOP", "RETR x", 0),
        ("REST 5\r\nTYPE I", "RETR x", 0),
        ("REST 5\r\nXYZ", "RETR x", 0),
        ("REST 5\r\nRETR", "RETR x", 0),
        ("REST 5\r\nRANG 1 2", "RETR x", 0),
        ("REST 5\r\nRETR y", "RETR x", 0),
    ],
)
def test_rest_holds_for_the_next_command(before: str, line: str, left: int) -> None:
    driver = logged_in(automatic=True)
    driver.tell("TYPE I")
    driver.tell(before)
    driver.automatic = False
    driver.tell(line)
    assert driver.setting("restart_offset") == left
    assert driver.engine.take_restart() == left
    assert driver.engine.take_restart() == 0


def test_rest_is_for_type_i() -> None:
    driver = logged_in()
    refusal = "501 REST counts the bytes of the file, which TYPE A changes; send TYPE I first.\r\n"
    assert driver.tell("REST 1") == refusal
    assert driver.tell("REST 0") == "350 The next transfer begins at byte 0.\r\n"
    assert driver.tell("RANG 1 2") == refusal.replace("REST", "RANG")
    assert driver.tell("SIZE x").startswith("550 ")
    driver.tell("TYPE L 8")
    assert driver.tell("REST 9223372036854775807") == "350 The next transfer begins at byte 9223372036854775807.\r\n"
    for wrong in ("-1", "1e3", "0x10", "", "18446744073709551616", "9223372036854775808", "٣"):
        assert driver.tell(f"REST {wrong}").startswith("501 Syntax: REST offset")
    assert driver.tell("SIZE x") == ""


def test_rang() -> None:
    driver = logged_in()
    driver.tell("TYPE I")
    assert driver.tell("RANG 5 9") == "350 The next RETR or HASH takes the bytes 5 to 9.\r\n"
    assert driver.tell("STOR x") == "501 RANG is for RETR and HASH; REST alone goes before an upload.\r\n"
    driver.tell("RANG 5 9")
    assert driver.tell("RANG 1 0") == "350 The next transfer is whole.\r\n"
    assert driver.engine.take_range() is None
    driver.tell("RANG 5 9")
    driver.tell("HASH x")
    wanted = driver.engine.take_range()
    assert wanted is not None
    assert (wanted.first, wanted.last, wanted.end) == (5, 9, 10)


def test_rename_needs_rnfr_right_before() -> None:
    driver = logged_in()
    assert driver.tell("RNTO y") == "503 Send RNFR right before.\r\n"
    driver.tell("RNFR x")
    driver.engine.reply(550, "no such file")
    driver.said()
    assert driver.tell("RNTO y").startswith("503 ")
    driver.tell("RNFR x")
    driver.engine.reply(350, "To what?")
    driver.said()
    assert driver.setting("rename_from") == "x"
    driver.tell("NOOP")
    assert driver.tell("RNTO y").startswith("503 ")
    driver.tell("RNFR x")
    driver.engine.reply(350, "To what?")
    driver.events()
    driver.tell("RNTO y")
    assert driver.setting("rename_from") == "x"
    driver.engine.reply(250, "Renamed.")
    assert driver.setting("rename_from") is None
    driver.tell("SITE CPFR x")
    driver.engine.reply(350, "To what?")
    driver.tell("SITE CPTO y")
    assert driver.setting("copy_from") == "x"


def test_what_is_announced_of_an_upload_holds_until_it_ends() -> None:
    driver = logged_in()
    assert driver.tell(f"SITE EXPECT 5 {'AB' * 32}").startswith("200 ")
    driver.tell("ALLO 5 R 10")
    driver.engine.reply(200, "Reserved.")
    driver.tell("NOOP")
    assert driver.setting("allocation") == 5
    driver.tell("STOR x")
    expected = driver.engine.take_expectation()
    assert expected is not None
    assert (expected.size, expected.sha256) == (5, "ab" * 32)
    driver.engine.reply(226, "Done.")
    assert driver.setting("allocation") is None
    assert driver.engine.take_expectation() is None


def test_epsv_all() -> None:
    driver = logged_in(automatic=True)
    assert driver.tell("EPSV ALL") == "200 From now on only EPSV.\r\n"
    for line in ("PASV", "PORT 127,0,0,1,10,1", "EPRT |1|127.0.0.1|2561|"):
        assert driver.tell(line) == "503 After EPSV ALL only EPSV is taken.\r\n"
    assert driver.tell("EPSV") == "250 Done.\r\n"


@pytest.mark.parametrize(
    ("ipv6", "line", "reply"),
    [
        (True, "PASV", "522 PASV is for IPv4; send EPSV, use (2)."),
        (False, "PASV", "250 Done."),
        (False, "EPSV 1", "250 Done."),
        (False, "EPSV 2", "522 Network protocol not supported, use (1)"),
        (True, "EPSV 2", "250 Done."),
        (True, "EPSV 1", "522 Network protocol not supported, use (2)"),
        (False, "EPSV 3", "522 Network protocol not supported, use (1,2)"),
        (False, "EPRT |3|127.0.0.1|2561|", "522 Network protocol not supported, use (1,2)"),
        (False, "EPRT |1|127.0.0.1|99999|",
         "501 Syntax: EPRT |family|address|port| (the port is no number from 1 to 65535)."),
        (False, "PORT 1,2,3", "501 Syntax: PORT h1,h2,h3,h4,p1,p2 (six numbers are wanted: h1,h2,h3,h4,p1,p2)."),
    ],
)  # fmt: skip
def test_addresses(ipv6: bool, line: str, reply: str) -> None:
    assert logged_in(automatic=True, ipv6=ipv6).tell(line) == reply + "\r\n"
