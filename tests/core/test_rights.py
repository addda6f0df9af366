"""Rights: reading them, writing them, and the one question."""

import pytest

from homeport.core.rights import Rights


@pytest.mark.parametrize(
    ("text", "rights", "written"),
    [
        ("all", Rights.ALL, "all"),
        ("none", Rights.NONE, "none"),
        ("", Rights.NONE, "none"),
        ("read-only", Rights.LIST | Rights.READ, "list,read"),
        ("Upload_Only", Rights.LIST | Rights.WRITE | Rights.MKDIR, "list,write,mkdir"),
        ("list, read,delete", Rights.LIST | Rights.READ | Rights.DELETE, "list,read,delete"),
    ],
)
def test_text_to_rights_and_back(text: str, rights: Rights, written: str) -> None:
    assert Rights.parse(text) == rights
    assert str(rights) == written
    assert Rights.parse(written) == rights


def test_an_unknown_word_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no right is called 'reed'; there are: list, read, write, .*read-only"):
        Rights.parse("list,reed")


def test_allows_asks_for_every_right() -> None:
    assert Rights.ALL.allows(Rights.READ | Rights.DELETE)
    assert not Rights.READ_ONLY.allows(Rights.READ | Rights.DELETE)
    assert Rights.NONE.allows(Rights.NONE)
