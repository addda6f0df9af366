"""Replies as bytes, digests in replies, and the page of documentation."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from homeport.protocols.ftp.commands import COMMANDS, SITE_COMMANDS
from homeport.protocols.ftp.hashes import digest_reply, hash_reply
from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.reference import render as render_reference
from homeport.protocols.ftp.replies import Refusal, Reply, quote_path, render

ENCODE = Names("gb18030").encode


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (Reply.of(200, "Fine."), b"200 Fine.\r\n"),
        (Reply.of(200, ""), b"200 \r\n"),
        (Reply.of(200, []), b"200 \r\n"),
        (Reply.of(211, ["Status:", "226 Done.", "End"]), b"211-Status:\r\n 226 Done.\r\n211 End\r\n"),
        (Reply.of(213, "a\r\n226 Done."), b"213 a%{D}%{A}226 Done.\r\n"),
        (Reply.of(250, ["Start", "a\n250 End", "End"]), b"250-Start\r\n a%{A}250 End\r\n250 End\r\n"),
        (Reply.of(257, quote_path('/a "b"')), b'257 "/a ""b"""\r\n'),
    ],
)
def test_render(reply: Reply, sent: bytes) -> None:
    assert render(reply, ENCODE) == sent


@pytest.mark.parametrize(
    ("code", "final", "agreement"), [(150, False, False), (226, True, True), (350, True, True), (426, True, False)]
)
def test_kinds_of_reply(code: int, final: bool, agreement: bool) -> None:
    reply = Reply.of(code, "x")
    assert (reply.is_final, reply.is_agreement) == (final, agreement)


def test_a_refusal_carries_its_reply() -> None:
    assert Refusal(501, "No.").reply == Reply(501, ("No.",))


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (hash_reply("SHA-256", 0, 50, "AB", "/a b"), b"213 SHA-256 0-49 ab /a b\r\n"),
        (hash_reply("MD5", 0, 0, "ab", "empty"), b"213 MD5 0-0 ab empty\r\n"),
        (hash_reply("MD5", 5, 6, "ab", "x"), b"213 MD5 5-5 ab x\r\n"),
        (digest_reply("XSHA256", "ab", "x"), b"250 AB\r\n"),
        (digest_reply("MD5", "ab", 'a"b'), b'251 "a""b" AB\r\n'),
    ],
)
def test_digests(reply: Reply, line: bytes) -> None:
    assert render(reply, ENCODE) == line


def test_the_page_is_what_the_table_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[3].joinpath("docs/ftp.md").read_text(encoding="utf-8")
    assert page == render_reference(), "run `python -m homeport.protocols.ftp.reference > docs/ftp.md`"
    monkeypatch.delitem(sys.modules, "homeport.protocols.ftp.reference")  # runpy warns of a second copy
    runpy.run_module("homeport.protocols.ftp.reference", run_name="__main__", alter_sys=True)
    assert capsys.readouterr().out == page
    for row in (*COMMANDS.values(), *SITE_COMMANDS.values()):
        assert row.drops or row.syntax.replace("|", "\\|") in page
