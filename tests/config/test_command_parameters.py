from __future__ import annotations

import pytest

from homeport.config.command_parameters import parse_type

HOME = "/home/alice"


@pytest.mark.parametrize(
    ("kind", "value", "argument"),
    [
        ("int", "7", "7"),
        ("int", "-007", "-7"),
        (" int  1-12 ", "12", "12"),
        ("int -5--1", "-3", "-3"),
        ("choice day week", "week", "week"),
        ("text [a-z]{1,3}", "abc", "abc"),
        ("text .*", "", ""),
        ("text [^/]+ [0-9]", "a b 1", "a b 1"),
        ("path", "a/b.txt", "/home/alice/a/b.txt"),
        ("path", "/a//./b", "/home/alice/a/b"),
        ("path", "../../etc/passwd", "/home/alice/etc/passwd"),
        ("path", "-rf", "/home/alice/-rf"),
        ("path", "/", "/home/alice"),
    ],
)
def test_values_that_fit(kind: str, value: str, argument: str) -> None:
    assert parse_type(kind)(value, HOME) == argument


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("int", "1e3", "'1e3' is no whole number"),
        ("int", "٣", "'٣' is no whole number"),
        ("int", "9" * 19, f"'{'9' * 19}' is no whole number"),
        ("int 1-12", "0", "0 is not from 1 to 12"),
        ("choice day week", "day week", "'day week' is not one of: day, week"),
        ("text [a-z]+", "abc\n", "'abc\\n' does not have the form [a-z]+"),
        ("text [a-z]+", "a;b", "'a;b' does not have the form [a-z]+"),
        ("text .+", "--output=x", "'--output=x' begins with a dash"),
        ("text .+", "x" * 257, f"'{'x' * 257}' does not have the form .+"),
        ("path", "a\0b", "a\\0b: a name cannot hold a NUL"),
    ],
)
def test_values_that_do_not(kind: str, value: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared
        parse_type(kind)(value, HOME)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("", "'' is no type of parameter; write one of: int, int LEAST-MOST, choice WORD..., text REGEX, path"),
        (
            "float",
            "'float' is no type of parameter; write one of: int, int LEAST-MOST, choice WORD..., text REGEX, path",
        ),
        ("int 12-1", "'12-1' is no range of numbers; write such as int 1-12"),
        ("int many", "'many' is no range of numbers; write such as int 1-12"),
        ("choice", "a choice needs words; write such as choice day week"),
        ("text", "text needs a regular expression; write such as text [a-z]{1,20}"),
        ("text [", "'[' is no regular expression: unterminated character set at position 0"),
        ("path below", "path takes nothing more"),
    ],
)
def test_types_that_are_none(kind: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared
        parse_type(kind)
    assert str(refused.value) == reason
