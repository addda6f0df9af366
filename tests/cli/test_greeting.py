from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from homeport.cli.cmd_who import HEAD, _row, duration
from homeport.cli.greeting import Greeting, url_host
from homeport.daemon.certificate import CertificateFacts
from homeport.daemon.host_keys import HostKeyFacts

FACTS = CertificateFacts("aa", "bb", datetime(2036, 1, 1, tzinfo=UTC), ())


def service(host: str | None, port: int | None, *listen: str) -> dict[str, object]:
    return {"host": host, "port": port, "listen": list(listen)}


def test_with_tls() -> None:
    services = {"ftp": service("::", 2121, "0.0.0.0:2121", "[::]:2121"), "ftps": service("::", 990, "[::]:990")}
    greeting = Greeting(services, Path("/a b/cert.pem"), FACTS, "o'neil")
    assert greeting.lines() == [
        "ftp: 0.0.0.0:2121, [::]:2121",
        "ftps: [::]:990",
        "key fingerprint: sha256:aa",
        "certificate fingerprint: sha256:bb",
        "to upload FILE (curl asks for the password):",
        "  curl --cacert '/a b/cert.pem' --ssl-reqd --user 'o'\"'\"'neil' -T FILE ftp://localhost:2121/",
        "to look around (lftp asks for the password):",
        "  lftp -e 'set ssl:ca-file \"/a b/cert.pem\"; set ftp:ssl-force true; set ftp:ssl-protect-data true' "
        "-u 'o'\"'\"'neil' ftp://localhost:2121",
    ]
    assert greeting.ready_line() == "ready: ftp 0.0.0.0:2121, [::]:2121, ftps [::]:990"


def test_with_ssh() -> None:
    services = {"ssh": service("::1", 2122, "[::1]:2122")}
    lines = Greeting(services, None, FACTS, "o'neil", HostKeyFacts("ssh-ed25519", "SHA256:x")).lines()
    assert lines[3:] == [
        "SSH host key: ssh-ed25519 SHA256:x",
        "the same through SSH (compare the host key with the one above):",
        "  sftp -P 2122 'o'\"'\"'neil'@::1",
    ]
    assert Greeting({"ssh": service(None, None, "unix:/x")}, None, FACTS, "bob").lines()[3:] == []


def test_with_hptp() -> None:
    lines = Greeting({"hptp": service("::", 2120, "[::]:2120")}, None, FACTS, "o'neil").lines()
    assert lines[3:] == [
        "with Homeport's own client (nothing to compare):",
        "  homeport shell 'hp://o'\"'\"'neil@localhost:2120'",
    ]
    assert Greeting({"hptp": service(None, None, "unix:/x")}, None, FACTS, "bob").lines()[3:] == []


def test_without_tls() -> None:
    lines = Greeting({"ftp": service("192.0.2.7", 21, "192.0.2.7:21")}, None, None, "bob").lines()
    assert lines[1] == "TLS is off: passwords and files can be read on the way"
    assert lines[3] == "  curl --user bob -T FILE ftp://192.0.2.7:21/"
    assert lines[5] == "  lftp -e 'set ftp:ssl-allow false' -u bob ftp://192.0.2.7:21"


def test_a_unix_socket_alone_has_no_commands() -> None:
    assert Greeting({"ftp": service(None, None, "unix:/x")}, None, None, "bob").lines()[0] == "ftp: unix:/x"
    assert len(Greeting({"ftp": service(None, None, "unix:/x")}, None, None, "bob").lines()) == 2


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "[2001:db8::1]")],
)
def test_hosts_in_urls(host: str, shown: str) -> None:
    assert url_host(host) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (61, "1m 1s"), (3600, "1h 0m"), (90061, "1d 1h"), (10**7, "115d 17h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rows_of_who() -> None:
    session = {
        "id": "a-1",
        "account": None,
        "protocol": "ftp",
        "peer": "127.0.0.1",
        "since": 100.0,
        "doing": "connected",
        "path": None,
        "moved_bytes": 0,
        "total_bytes": None,
    }
    assert dict(zip(HEAD, _row(session, 105.0), strict=True)) == {
        "SESSION": "a-1",
        "ACCOUNT": "-",
        "PROTOCOL": "ftp",
        "FROM": "127.0.0.1",
        "FOR": "5s",
        "DOING": "connected",
    }
    busy = session | {"account": "bob", "doing": "upload", "path": "/f", "moved_bytes": 1024, "total_bytes": 2048}
    assert _row(busy, 105.0)[-1] == "upload /f, 1.0 KiB of 2.0 KiB"
    assert _row(busy | {"total_bytes": None}, 105.0)[-1] == "upload /f, 1.0 KiB"
