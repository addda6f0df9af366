"""A client that speaks GBK beside one that speaks UTF-8: both see the same names."""

from __future__ import annotations

import ftplib
import io

import pytest
from tests.interop.clients import connect
from tests.interop.live_server import Account, LiveServer

pytestmark = pytest.mark.interop

NAME = "年度报告.txt"


def speak_bytes(server: LiveServer, account: Account) -> ftplib.FTP_TLS:
    """A client whose text is the raw bytes of the wire."""
    return connect(server, account, encoding="latin-1")


def raw(name: str, charset: str) -> str:
    return name.encode(charset).decode("latin-1")


@pytest.mark.parametrize("charset", ["gbk", "gb18030", "utf-8"])
def test_the_first_name_decides_what_a_client_speaks(server: LiveServer, account: Account, charset: str) -> None:
    with speak_bytes(server, account) as client:
        client.storbinary(f"STOR {raw(NAME, charset)}", io.BytesIO(b"content"))
        assert client.nlst() == [raw(NAME, charset)]
        assert client.mlsd() is not None
        client.mkd(raw("照片", charset))
        assert client.cwd(raw("照片", charset)).startswith("250")
        assert client.pwd() == raw("/照片", charset)
    assert sorted(entry.name for entry in server.home(account).iterdir()) == sorted([NAME, "照片"])


def test_two_clients_share_a_home_and_see_the_same_name(server: LiveServer, account: Account) -> None:
    with speak_bytes(server, account) as old, connect(server, account) as new:
        new.voidcmd("OPTS UTF8 ON")
        old.voidcmd("OPTS UTF8 OFF")
        new.storbinary(f"STOR {NAME}", io.BytesIO(b"from the new one"))
        assert old.nlst() == [raw(NAME, "gbk")]
        got: list[bytes] = []
        old.retrbinary(f"RETR {raw(NAME, 'gbk')}", got.append)
        assert b"".join(got) == b"from the new one"
        old.rename(raw(NAME, "gbk"), raw("完成.txt", "gbk"))
        assert new.nlst() == ["完成.txt"]


def test_bytes_of_no_charset_survive(server: LiveServer, account: Account) -> None:
    with speak_bytes(server, account) as client:
        client.voidcmd("OPTS UTF8 ON")
        client.storbinary("STOR \x80\xbf broken", io.BytesIO(b"content"))
        assert client.nlst() == ["\x80\xbf broken"]
        client.delete("\x80\xbf broken")
        assert client.nlst() == []
