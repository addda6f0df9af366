"""The engine as a dialogue: what comes in, what is answered, what the server hears."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.protocols.ftp.driver import OPEN, Driver, logged_in, whole_and_bytewise

from homeport.protocols.ftp.engine import FtpEngine
from homeport.protocols.ftp.events import Abort, Close, Login, Quit, Reinitialize, Request, StartTls
from homeport.protocols.ftp.policy import Policy, TlsPolicy
from homeport.protocols.ftp.settings import Protection
from homeport.protocols.ftp.state import Misuse

REQUIRED = Policy()


def requests(driver: Driver) -> list[str]:
    return [event.command.name for event in driver.events() if isinstance(event, Request)]


def test_nothing_is_executed_before_the_greeting() -> None:
    engine = FtpEngine(OPEN)
    engine.receive(b"NOOP\r\n", 5.0)
    assert engine.busy
    assert engine.take_output() == b""
    news = [engine.has_news]
    engine.greet(["Homeport", "files for everybody", "at your service"])
    news.append(engine.has_news)
    assert engine.take_output() == b"220-Homeport\r\n files for everybody\r\n220 at your service\r\n200 Here.\r\n"
    assert [*news, engine.has_news] == [False, True, False]
    assert engine.heard_at == 5.0
    assert not engine.busy


@pytest.mark.parametrize("name", ["alice", "nobody", "文件"])
def test_login(name: str) -> None:
    driver = Driver()
    assert driver.tell(f"USER {name}") == "331 Password, please.\r\n"
    assert driver.tell("PASS  two words ") == ""
    assert driver.events() == [Login(name, " two words ")]
    assert "two words" not in repr(Login(name, " two words "))
    driver.engine.login_accepted(["Welcome.", "12 files"])
    assert driver.said() == "230-Welcome.\r\n230 12 files\r\n"
    assert driver.engine.logged_in


def test_a_refused_login_begins_again_with_user() -> None:
    driver = Driver()
    driver.tell("USER alice")
    driver.tell("PASS x")
    driver.engine.login_refused(530, "login incorrect")
    assert driver.said() == "530 login incorrect\r\n"
    assert driver.tell("PASS y") == "503 Send USER first.\r\n"
    driver.tell("USER alice")
    driver.tell("PASS y")
    driver.events()
    driver.engine.login_refused(421, "too many failed logins")
    assert driver.said() == "421 too many failed logins\r\n"
    assert driver.events() == [Close("too many failed logins")]
    assert driver.engine.closed


def test_pipelined_commands_are_answered_in_order() -> None:
    driver = logged_in(automatic=True)
    assert driver.tell(b"NOOP\r\nPWD\r\nTYPE I\r\nSYST\nRETR x\r\nNOOP\r\n") == (
        "200 Here.\r\n250 Done.\r\n200 TYPE is I.\r\n215 UNIX Type: L8\r\n150 Now.\r\n226 Done.\r\n200 Here.\r\n"
    )


def test_commands_wait_while_a_request_is_unanswered() -> None:
    driver = logged_in()
    assert driver.tell(b"PWD\r\nNOOP\r\nCWD x\r\n") == ""
    assert requests(driver) == ["PWD"]
    driver.engine.reply(257, '"/"')
    assert driver.said() == '257 "/"\r\n200 Here.\r\n'
    assert requests(driver) == ["CWD"]


def test_while_a_transfer_runs_some_commands_are_heard() -> None:
    driver = logged_in()
    driver.tell("STOR x")
    driver.engine.reply(150, "Now.")
    driver.said()
    driver.events()
    assert driver.engine.in_transfer
    assert driver.tell("NOOP") == "200 Here.\r\n"
    assert driver.tell("STAT") == ""
    (stat,) = driver.events()
    assert isinstance(stat, Request)
    assert stat.aside
    assert driver.tell("NOOP") == ""  # waits for STAT's reply
    driver.engine.reply_aside(211, ["State:", "226 of 500 bytes", "End"])
    assert driver.said() == "211-State:\r\n 226 of 500 bytes\r\n211 End\r\n200 Here.\r\n"
    assert (
        driver.tell(b"STAT x\r\nNOOP\r\nSTAT\r\nXYZ\r\nMKD a\0b\r\n") == ""
    )  # a path is for later, and so is what follows
    driver.engine.reply(226, "Done.")
    assert driver.said() == "226 Done.\r\n"
    assert requests(driver) == ["STAT"]
    driver.engine.reply(213, "x")
    assert driver.said() == "213 x\r\n200 Here.\r\n"
    driver.engine.reply(211, "ok")
    assert driver.said() == ("211 ok\r\n500 Unknown command.\r\n500 Refused: a NUL or a bare CR in a line.\r\n")


@pytest.mark.parametrize("abort", [b"ABOR\r\n", b"\xff\xf4\xff\xf2ABOR\r\n", b"\xf2ABOR\r\n", b"PWD\r\nABOR\r\n"])
def test_abor_in_a_transfer(abort: bytes) -> None:
    driver = logged_in()
    driver.tell("RETR x")
    driver.events()
    assert driver.tell(abort) == ""
    assert driver.events() == [Abort()]
    assert driver.tell("ABOR") == ""
    assert driver.events() == []
    driver.engine.reply(426, "Cut.")
    reply = driver.said()
    assert reply.startswith("426 Cut.\r\n226 The transfer was stopped.\r\n")
    if b"PWD" in abort:
        driver.engine.reply(257, "/")
        reply += driver.said()
    assert reply.endswith("225 No transfer is running.\r\n")


def test_abor_when_idle_and_before_login() -> None:
    assert Driver().tell("ABOR") == "225 No transfer is running.\r\n"
    assert logged_in().tell("ABOR") == "225 No transfer is running.\r\n"


def test_abor_waits_behind_a_short_request_and_stops_a_long_one() -> None:
    driver = logged_in()
    driver.tell("HASH x")
    driver.tell("ABOR")
    assert requests(driver) == ["HASH"]
    driver.engine.transfer_started()
    assert driver.engine.events() == [Abort()]
    assert driver.engine.aborting
    driver.engine.reply(426, "Cut.")
    assert driver.said() == "426 Cut.\r\n226 The transfer was stopped.\r\n"


def test_what_was_pipelined_behind_a_long_request_waits_for_its_reply() -> None:
    driver = logged_in()
    driver.tell(b"HASH x\r\nSYST\r\nNOOP\r\n")
    driver.engine.transfer_started()
    assert driver.said() == ""
    driver.engine.reply(213, "ab")
    assert driver.said() == "213 ab\r\n215 UNIX Type: L8\r\n200 Here.\r\n"
    driver.tell("HASH x")
    driver.engine.transfer_started()
    assert driver.tell("NOOP") == "200 Here.\r\n"


def test_quit() -> None:
    driver = logged_in()
    assert driver.tell(b"QUIT\r\nNOOP\r\n") == "221 Goodbye.\r\n"
    assert driver.events() == [Quit()]
    assert driver.tell("NOOP") == ""


def test_quit_in_a_transfer_waits_for_its_end() -> None:
    driver = logged_in()
    driver.tell("STOR x")
    driver.engine.reply(150, "Now.")
    driver.said()
    assert driver.tell(b"QUIT\r\nNOOP\r\n") == ""
    assert driver.engine.quitting
    assert driver.tell("ABOR") == ""
    driver.events()
    driver.engine.reply(226, "Done.")
    assert driver.said() == "226 Done.\r\n221 Goodbye.\r\n"
    assert driver.events() == [Quit()]


def test_auth_tls_forgets_what_was_before() -> None:
    driver = logged_in()
    driver.tell(b"TYPE I\r\nREST 5\r\n")
    driver.tell("OPTS UTF8 OFF")
    assert driver.tell("AUTH tls") == "234 TLS now.\r\n"
    assert driver.events() == [StartTls()]
    driver.engine.tls_started()
    assert not driver.engine.logged_in
    assert driver.engine.names.charset is None
    assert driver.engine.take_restart() == 0
    assert driver.tell("PASS x") == "503 Send USER first.\r\n"
    assert driver.tell("AUTH TLS") == "503 TLS is on already.\r\n"
    assert driver.tell(b"\x16\x03\r\n") == "500 Unknown command.\r\n"


@pytest.mark.parametrize("burst", [b"AUTH TLS\r\nNOOP\r\n", b"AUTH TLS\nU"])
def test_bytes_after_auth_end_the_connection(burst: bytes) -> None:
    for pieces in whole_and_bytewise(burst):
        driver = Driver()
        for piece in pieces:
            assert driver.tell(piece) in ("", "234 TLS now.\r\n")
        assert driver.events()[-1] == Close("bytes in the clear after AUTH: injection")
        driver.engine.tls_started()  # the handshake that was under way when it was noticed
        assert driver.engine.closed
        assert driver.tell("NOOP") == ""


@pytest.mark.parametrize(
    ("policy", "line", "reply"),
    [
        (OPEN, "AUTH GSSAPI", "504 Only AUTH TLS is here."),
        (OPEN, "AUTH", "501 Syntax: AUTH TLS (an argument is missing)."),
        (OPEN, "PBSZ 0", "503 Send AUTH TLS first."),
        (OPEN, "PROT P", "503 Send AUTH TLS first."),
        (OPEN, "CCC", "534 The control connection stays private: commands and replies in the clear can be forged."),
        (REQUIRED, "USER alice", "530 This server takes no login in the clear: send AUTH TLS first."),
        (REQUIRED, "PASS x", "530 This server takes no login in the clear: send AUTH TLS first."),
        (REQUIRED, "PWD", "530 Log in first: AUTH TLS, then USER and PASS."),
        (OPEN, "PWD", "530 Log in with USER and PASS."),
        (Policy(tls=TlsPolicy.OFF), "AUTH TLS", "502 Not offered by this server."),
        (OPEN, "HOST files.example", "220 Host accepted."),
    ],
)
def test_before_login(policy: Policy, line: str, reply: str) -> None:
    assert Driver(policy).tell(line) == reply + "\r\n"


def secured(policy: Policy) -> Driver:
    driver = Driver(policy)
    driver.tell("AUTH TLS")
    driver.engine.tls_started()
    return driver


def test_prot() -> None:
    driver = secured(REQUIRED)
    dialogue = [
        ("PROT P", "503 Send PBSZ 0 first."),
        ("PBSZ x", "501 Syntax: PBSZ 0 (a whole number from 0 to 9223372036854775807 is wanted)."),
        ("PBSZ 0", "200 PBSZ=0"),
        ("PROT S", "536 TLS knows only PROT C and PROT P."),
        ("PROT E", "536 TLS knows only PROT C and PROT P."),
        ("PROT X", "504 No such protection level; use PROT P."),
        ("PROT C", "534 Data connections must be private here; use PROT P."),
        ("USER a", "331 Password, please."),
    ]
    for line, reply in dialogue:
        assert driver.tell(line) == reply + "\r\n"
    driver.log_in()
    assert driver.tell("LIST") == "522 Data connections must be private here: send PBSZ 0 and PROT P first.\r\n"
    assert driver.tell("PROT P") == "200 Data connections are private.\r\n"
    assert driver.tell("LIST") == ""
    assert requests(driver) == ["LIST"]


def test_prot_c_where_it_is_allowed() -> None:
    driver = secured(OPEN)
    assert driver.tell(b"PBSZ 0\r\nPROT P\r\nPROT C\r\n").endswith("200 Data connections are clear.\r\n")


def test_where_tls_is_optional_data_is_as_private_as_the_control_connection() -> None:
    policy = Policy(tls=TlsPolicy.OPTIONAL)
    plain = Driver(policy).log_in()
    assert plain.tell("LIST") == ""
    assert requests(plain) == ["LIST"]
    driver = secured(policy).log_in()
    assert driver.tell("LIST") == "522 Data connections must be private here: send PBSZ 0 and PROT P first.\r\n"
    driver.tell("PBSZ 0")
    assert driver.tell("PROT C") == "534 Data connections must be private here; use PROT P.\r\n"
    driver.tell("PROT P")
    assert driver.tell("LIST") == ""
    assert requests(driver) == ["LIST"]


def test_implicit_tls_is_private_from_the_start() -> None:
    driver = Driver(REQUIRED, tls=True).log_in()
    assert driver.setting("protection") is Protection.PRIVATE
    assert driver.tell("AUTH TLS") == "503 TLS is on already.\r\n"
    assert driver.tell("MLSD") == ""
    assert requests(driver) == ["MLSD"]


def test_user_in_a_session_that_is_logged_in_ends_the_old_login() -> None:
    driver = Driver(OPEN, tls=True).log_in()
    driver.tell(b"PROT C\r\nTYPE I\r\nEPSV ALL\r\nOPTS UTF8 OFF\r\n")
    driver.tell("USER bob")
    assert not driver.engine.logged_in
    assert driver.tell("PWD").startswith("530 ")
    assert not driver.engine.settings.epsv_all
    assert driver.setting("protection") is Protection.CLEAR
    assert driver.engine.names.charset is None


def test_what_was_set_before_the_first_user_stays() -> None:
    driver = Driver()
    driver.tell(b"OPTS UTF8 OFF\r\nOPTS MLST size;\r\nUSER a\r\n")
    assert driver.engine.names.charset == "gb18030"
    assert driver.setting("facts") == {"size"}


def test_an_accounts_charset_goes_before_the_clients_wish() -> None:
    driver = Driver()
    driver.tell(b"USER a\r\nPASS b\r\n")
    driver.engine.login_accepted(charset="gb18030")
    assert driver.said() == "230 Welcome.\r\n"
    assert driver.tell("OPTS UTF8 ON") == "200 Names are in gb18030.\r\n"


def test_rein() -> None:
    driver = logged_in()
    driver.tell("TYPE I")
    assert driver.tell(b"REIN\r\nPWD\r\n") == ""
    assert driver.events() == [Reinitialize()]
    driver.engine.reply(220, "Again.")
    assert driver.said() == "220 Again.\r\n530 Log in with USER and PASS.\r\n"


@pytest.mark.parametrize("verb", ["GET / HTTP/1.1", "post / HTTP/1.1", "Host: x", "EHLO there", "OPTIONS *", "HEAD /"])
def test_other_protocols_are_dropped_with_all_that_follows(verb: str) -> None:
    for pieces in whole_and_bytewise(verb.encode() + b"\r\nNOOP\r\nUSER x\r\n"):
        driver = Driver()
        assert "".join(driver.tell(piece) for piece in pieces) == ""
        (close,) = driver.events()
        assert isinstance(close, Close)
        assert close.reason.startswith("Not FTP but ")


def test_a_tls_hello_on_the_plain_port_is_dropped() -> None:
    for pieces in whole_and_bytewise(b"\x16\x03\x01\x02\x00\x01\x00\n\nNOOP\r\n"):
        driver = Driver()
        assert "".join(driver.tell(piece) for piece in pieces) == ""
        assert driver.events() == [Close("a TLS handshake on a connection that speaks plain FTP")]


def test_unknown_commands_are_counted() -> None:
    driver = Driver()
    for _ in range(9):
        assert driver.tell("XYZ a") == "500 Unknown command.\r\n"
    assert driver.tell(b"\0\r\n").startswith("500 Refused")
    assert driver.tell("") == "421 Too many unknown commands.\r\n"
    assert driver.events() == [Close("Too many unknown commands.")]
    driver = Driver()
    assert driver.tell(b"\n") == "500 A command is missing.\r\n"
    driver.log_in()
    assert driver.tell(b"XYZ\r\n" * 200) == "500 Unknown command.\r\n" * 200
    assert driver.tell("\xe9") == "421 Too many unknown commands.\r\n"


def test_overlong_lines_end_the_connection() -> None:
    fits = b"CLNT " + b"a" * 4091 + b"\r\n"
    assert Driver().tell(fits) == "200 Noted.\r\n"
    for data in (b"CLNT " + b"a" * 4092 + b"\r\n", b"a" * 1_000_000):
        driver = Driver()
        driver.engine.receive(data[:5000], 0)
        driver.engine.receive(data[5000:], 0)
        assert driver.said() == "500 Refused: a line longer than the limit.\r\n"
        assert driver.events() == [Close("a line longer than the limit")]
    driver = logged_in()
    driver.tell("RETR x")
    driver.events()
    assert driver.tell(b"b" * 5000) == ""
    driver.engine.reply(226, "Done.")
    assert driver.said() == "226 Done.\r\n500 Refused: a line longer than the limit.\r\n"
    assert driver.engine.closed
    driver.engine.reply(226, "too late")
    driver.engine.reply_aside(211, "too late")
    driver.engine.transfer_started()
    driver.engine.terminate("too late")
    driver.engine.greet("too late")
    driver.engine.login_accepted()
    driver.engine.login_refused(530, "too late")
    assert driver.engine.take_output() == b""


def test_waiting_commands_are_bounded() -> None:
    driver = logged_in()
    driver.tell("RETR x")
    assert driver.is_open()
    driver.tell(b"PWD\r\n" * 20_000)
    assert not driver.is_open()
    assert not driver.engine.closed
    driver.events()
    assert driver.tell("ABOR") == ""
    assert driver.events() == []  # too deep to be heard
    driver.tell(b"PWD\r\n" * 300_000)
    assert driver.events() == [Close("Too many commands are waiting.")]
    assert not driver.is_open()


def test_a_peer_that_reads_nothing_gets_no_service() -> None:
    driver = Driver()
    driver.engine.receive(b"FEAT\r\n" * 10_000, 0)
    assert not driver.is_open()
    first = driver.engine.take_output()
    assert OPEN.max_output_bytes <= len(first) < OPEN.max_output_bytes + 2000
    assert driver.drain().count(b"211 End\r\n") + first.count(b"211 End\r\n") == 10_000
    assert driver.is_open()


def test_ten_thousand_lines_in_one_packet_are_answered_in_order() -> None:
    driver = logged_in()
    assert driver.tell(b"NOOP\r\nSYST\r\n" * 5_000) == "200 Here.\r\n215 UNIX Type: L8\r\n" * 5_000


def test_the_end_of_the_peer() -> None:
    driver = logged_in()
    driver.tell("RETR x")
    driver.events()
    driver.engine.receive(b"", 2.0)
    driver.engine.receive_eof()
    driver.engine.receive_eof()
    assert driver.engine.events() == [Close("the peer closed the connection")]


@pytest.mark.parametrize("line", ["PWD", "RETR x"])
def test_421_closes(line: str) -> None:
    driver = logged_in()
    driver.tell(line)
    driver.events()
    driver.engine.reply(421, "Shutting down.")
    assert driver.said() == "421 Shutting down.\r\n"
    assert driver.events() == [Close("Shutting down.")]


def test_the_server_cannot_answer_what_was_not_asked() -> None:
    driver = logged_in()
    calls: list[Callable[[], None]] = [
        lambda: driver.engine.reply(226, "Done."),
        lambda: driver.engine.reply(150, "Now."),
        lambda: driver.engine.reply_aside(211, "Fine."),
        driver.engine.tls_started,
        driver.engine.login_accepted,
        driver.engine.transfer_started,
        lambda: driver.engine.greet("Hello."),
    ]
    for call in calls:
        with pytest.raises(Misuse):
            call()


@pytest.mark.parametrize("line", ["MKD", "STOR", "RNTO", "COMB x"])
def test_a_new_name_cannot_hold_a_line_end(line: str) -> None:
    driver = logged_in()
    driver.engine.settings.rename_from = "x"
    verb, *_ = line.split()
    assert driver.tell(f"{verb} a%{{A}}b c") == "553 A name cannot hold a line end or NUL.\r\n"
    assert driver.tell("DELE a%{A}b") == ""
    (request,) = driver.events()
    assert isinstance(request, Request)
    assert request.argument == "a\nb"


@pytest.mark.parametrize("line", [b"MKD a\0b\r\n", b"MKD a\rb\r\n", b"MKD a\r\r\n"])
def test_nul_and_bare_cr_are_refused(line: bytes) -> None:
    assert logged_in().tell(line) == "500 Refused: a NUL or a bare CR in a line.\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("SITE", "502 Syntax: SITE HELP."),
        ("SITE EXEC ls", "502 Syntax: SITE HELP."),
        ("OPTS", "501 Syntax: OPTS UTF8|MLST|HASH|MODE ...."),
        ("OPTS NOTHING x", "501 Syntax: OPTS UTF8|MLST|HASH|MODE ...."),
        ("SITE SYMLINK a b", "550 Links are not made over FTP."),
        ("site chmod 640  a", ""),
    ],
)
def test_subcommands(line: str, reply: str) -> None:
    assert logged_in().tell(line).rstrip("\r\n") == reply


def test_a_password_is_no_name() -> None:
    driver = Driver()
    driver.tell("USER a%{E9}")
    driver.tell("PASS x%{A}y")
    assert driver.events() == [Login("a%{E9}", "x%{A}y")]


@pytest.mark.parametrize("verb", [b"PA\xdf x", b"\xc3\x9f", b"NOOP\x85"])
def test_a_verb_is_ascii(verb: bytes) -> None:
    assert Driver().tell(verb + b"\r\n") == "500 Unknown command.\r\n"


def test_nothing_is_said_in_the_clear_into_a_handshake() -> None:
    driver = Driver()
    driver.tell("AUTH TLS")
    driver.events()
    driver.engine.terminate("The handshake took too long.")
    assert driver.said() == ""
    assert driver.events() == [Close("The handshake took too long.")]
