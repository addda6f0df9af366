"""URLs as people type them, and those that are refused with a reason."""

import pytest

from homeport.client.errors import UsageError
from homeport.client.url import RemoteUrl, is_url, parse_url, split_profile


@pytest.mark.parametrize(
    ("text", "url", "written"),
    [
        ("ftp://host", RemoteUrl("ftp", "host", 21, None, "/"), "ftp://host:21/"),
        ("FTPS://alice@Host/x", RemoteUrl("ftps", "host", 990, "alice", "/x"), "ftps://alice@host:990/x"),
        ("ftp://a%40b@h:2121/a%20b", RemoteUrl("ftp", "h", 2121, "a@b", "/a b"), "ftp://a%40b@h:2121/a%20b"),
        ("ftp://[::1]:2121/x", RemoteUrl("ftp", "::1", 2121, None, "/x"), "ftp://[::1]:2121/x"),
        ("hp://h/中文/桜", RemoteUrl("hp", "h", 2120, None, "/中文/桜"), "hp://h:2120/%E4%B8%AD%E6%96%87/%E6%A1%9C"),
        ("sftp://h/%B1%A8", RemoteUrl("sftp", "h", 22, None, "/\udcb1\udca8"), "sftp://h:22/%B1%A8"),
        ("ftp://h/a?b#c", RemoteUrl("ftp", "h", 21, None, "/a?b#c"), "ftp://h:21/a%3Fb%23c"),
        ("ftp://h/dir/", RemoteUrl("ftp", "h", 21, None, "/dir/"), "ftp://h:21/dir/"),
    ],
)
def test_read_and_written(text: str, url: RemoteUrl, written: str) -> None:
    assert parse_url(text) == url
    assert str(url) == written
    assert parse_url(written) == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("http://h/", "'http://h/' is no URL of a file server; one begins with ftp://, ftps://, sftp://, hp://"),
        ("host/x", "'host/x' is no URL of a file server; one begins with ftp://, ftps://, sftp://, hp://"),
        ("ftp://", "'ftp://' names no host and port; like this: ftp://NAME@HOST/PATH"),
        ("ftp://h:0/", "'ftp://h:0/' names no host and port; like this: ftp://NAME@HOST/PATH"),
        ("ftp://h:99999/", "'ftp://h:99999/': the port must be a number from 1 to 65535"),
        ("ftp://h:x/", "'ftp://h:x/': the port must be a number from 1 to 65535"),
        ("ftp://h/a%0d%0aDELE b", "'ftp://h/a%0d%0aDELE b': a name cannot hold a line break or NUL"),
        ("ftp://a%0ab@h/", "'ftp://a%0ab@h/': a name cannot hold a line break or NUL"),
    ],
)
def test_refused_with_a_reason(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_url(text)
    assert str(refusal.value) == sentence


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="histories") as refusal:
        parse_url("ftp://alice:secret@h/")
    assert "secret" not in str(refusal.value)


def test_with_path_and_server() -> None:
    url = parse_url("ftp://alice@[::1]:2121/x")
    assert url.with_path("/y").path == "/y"
    assert url.server == "ftp://[::1]:2121"


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("team:/in/x", ("team", "/in/x")),
        ("team:", ("team", "")),
        ("ftp://h/x", None),
        ("c:\\x", None),
        ("/plain", None),
        ("./team:x", None),
    ],
)
def test_profiles(text: str, split: tuple[str, str] | None) -> None:
    assert split_profile(text) == split


def test_is_url() -> None:
    assert is_url("ftp://h")
    assert is_url("gopher://h")
    assert not is_url("team:/x")
