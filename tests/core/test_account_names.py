"""Names: what can be one, and which two are the same."""

from __future__ import annotations

import unicodedata

import pytest

from homeport.core.account_names import clean_name, name_key

LENGTH = "a name has 1 to 64 characters"
START = "a name begins with no dot and no dash"
CHARACTERS = "a name has letters, digits, dot, underscore, dash and @ only"


@pytest.mark.parametrize(
    ("name", "clean", "key"),
    [
        ("anna", "anna", "anna"),
        ("Anna.B-1_x@example.org", "Anna.B-1_x@example.org", "anna.b-1_x@example.org"),
        ("7", "7", "7"),
        ("@home", "@home", "@home"),
        ("Ju\u0308rgen", "Jürgen", "jürgen"),
        ("STRASSE", "STRASSE", "strasse"),
        ("straße", "straße", "strasse"),
        ("张伟", "张伟", "张伟"),
        ("\uff21nna", "\uff21nna", "anna"),
        ("ΣΊΣΥΦΟΣ", "ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("x" * 64, "x" * 64, "x" * 64),
    ],
)
def test_names_and_their_keys(name: str, clean: str, key: str) -> None:
    assert (clean_name(name), name_key(name)) == (clean, key)
    assert name_key(clean) == key


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", LENGTH),
        ("x" * 65, LENGTH),
        ("x" * 10_000_000, LENGTH),
        (".", START),
        ("..", START),
        (".ssh", START),
        ("-rf", START),
        ("a/b", CHARACTERS),
        ("../x", START),
        ("a\\b", CHARACTERS),
        ("a b", CHARACTERS),
        ("a\0", CHARACTERS),
        ("a\n226 done", CHARACTERS),
        ("a\x1b[2J", CHARACTERS),
        ("a\u202e", CHARACTERS),
        ("a\u200b", CHARACTERS),
        ("a\u2028", CHARACTERS),
        ("a\udcff", CHARACTERS),
        ("\u0301a", CHARACTERS),
        ("a\u3164", CHARACTERS),
        ("x' OR 1=1 --", CHARACTERS),
        ("%", CHARACTERS),
        ("😀", CHARACTERS),
        ("\U00020000" * 64, "a name has at most 255 bytes in UTF-8"),
    ],
)
def test_other_texts_are_no_names(name: str, reason: str) -> None:
    for read in (clean_name, name_key):
        with pytest.raises(ValueError, match=f"^{reason}$"):
            read(name)


def test_a_name_whose_key_is_longer_than_a_name_is_refused() -> None:
    """U+FDFA is one letter that stands for four words."""
    with pytest.raises(ValueError, match=r"^a name has at most 64 characters$"):
        name_key("\ufdfa" * 4)


def test_a_letter_that_stands_for_words_is_refused_for_its_spaces() -> None:
    with pytest.raises(ValueError, match=f"^{CHARACTERS}$"):
        name_key("\ufdfa")


def test_every_letter_with_another_form_is_a_name_that_is_its_own_twin_or_no_name() -> None:
    letters = [chr(code) for code in range(0x110000) if chr(code).isalpha()]
    changing = [letter for letter in letters if unicodedata.normalize("NFKC", letter).casefold() != letter]
    names = 0
    for letter in changing:
        try:
            key = name_key("a" + letter)
        except ValueError:
            continue
        names += 1
        assert key.isprintable(), hex(ord(letter))
        assert not set(key) & set(" /\\%'\""), hex(ord(letter))
        assert unicodedata.normalize("NFKC", key.casefold()) == key, hex(ord(letter))
    assert names > 4000
