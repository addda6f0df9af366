from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.cli.shell.words import escaped, split, unfinished
from homeport.client.errors import UsageError

LINES = [
    ("", []),
    ("  # nothing", []),
    ("ls", [["ls"]]),
    ("  ls   -l\t/a ", [["ls", "-l", "/a"]]),
    ("get 'a b' \"c d\" e\\ f", [["get", "a b", "c d", "e f"]]),
    ("cd 我的\\ 文件/", [["cd", "我的 文件/"]]),
    ("get a'b c'\"d\"", [["get", "ab cd"]]),
    ('get "a\\"b\\\\c\\d"', [["get", 'a"b\\c\\d']]),
    ("get 'a\\b'", [["get", "a\\b"]]),
    ("get ''", [["get", ""]]),
    ("ls; pwd;; cd x", [["ls"], ["pwd"], ["cd", "x"]]),
    ("ls a\\;b 'c;d' \"&\"", [["ls", "a;b", "c;d", "&"]]),
    ("get a & ls", [["get", "a"], ["ls"]]),
    ("get a&ls", [["get", "a"], ["ls"]]),
    ("ls a#b # c; d", [["ls", "a#b"]]),
    ("ls a # c\npwd", [["ls", "a"], ["pwd"]]),
    ("ls a\\", [["ls", "a\\"]]),
]


@pytest.mark.parametrize(("text", "words"), LINES)
def test_split(text: str, words: list[list[str]]) -> None:
    assert [[word.text for word in line.words] for line in split(text)] == words


def test_background() -> None:
    assert [line.in_background for line in split("get a & put b & ls")] == [True, True, False]


def test_a_local_command_takes_the_rest() -> None:
    lines = split("pwd; !ls 'x; & y' # z")
    assert (lines[1].local, lines[1].words) == ("ls 'x; & y' # z", [])
    assert split("!")[0].local == ""
    assert split("ls !x")[0].local is None


@pytest.mark.parametrize("text", ["get 'a", 'get "a b', "ls; get 'x;"])
def test_an_open_quote_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is never closed"):
        split(text)


PATTERNS = [("*", True), ("a?", True), ("[x]", True), ("'*'", False), ('"a?"', False), ("\\*", False), ("'a b'*", True)]


@pytest.mark.parametrize(("text", "is_pattern"), PATTERNS)
def test_what_is_quoted_is_no_pattern(text: str, is_pattern: bool) -> None:
    assert split(f"ls {text}")[0].words[1].is_pattern is is_pattern


UNFINISHED = [
    ("", [""], ""),
    ("g", ["g"], ""),
    ("get ", ["get", ""], ""),
    ("get a", ["get", "a"], ""),
    ("get 'a b", ["get", "a b"], "'"),
    ("get 'a ", ["get", "a "], "'"),
    ("get a\\ ", ["get", "a "], ""),
    ('ls; get "x y', ["get", "x y"], '"'),
    ("ls;", [""], ""),
]


@pytest.mark.parametrize(("text", "words", "quote"), UNFINISHED)
def test_unfinished(text: str, words: list[str], quote: str) -> None:
    line = unfinished(text)
    assert [word.text for word in line.words] == words
    assert line.words[-1].quote == quote


NAMES = st.text(st.characters(exclude_characters="/\n\r\0", exclude_categories=["Cs"]), min_size=1)


@given(NAMES, st.sampled_from(["", "'", '"']))
def test_a_name_comes_back_whole(name: str, quote: str) -> None:
    (line,) = split(f"get {quote}{escaped(name, quote)}{quote} x")
    assert [word.text for word in line.words] == ["get", name, "x"]
    assert not line.words[1].is_pattern
