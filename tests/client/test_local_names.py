"""Names that a hostile server may send: what is accepted lies in the folder, under exactly that name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.errors import SafetyRefused
from homeport.client.local_names import safe_child, safe_descendant


@pytest.mark.parametrize("name", ["a", "中文.txt", " x ", "a\\b", "CON", "a:b", "-rf", "\udcff", "...", "x" * 255])
def test_names_that_this_system_holds_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    assert safe_child(tmp_path, name, windows=False) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is no file name"),
        (".", "is no file name"),
        ("..", "is no file name"),
        ("../x", "holds a separator or NUL"),
        ("/etc/passwd", "holds a separator or NUL"),
        ("a\0b", "holds a separator or NUL"),
        ("x" * 256, "is too long for this system"),
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SafetyRefused) as refusal:
        safe_child(tmp_path, name, windows=False)
    assert str(refusal.value) == f"the server names a file {name!r}, which {why}; nothing was written"


@pytest.mark.parametrize(
    "name", ["CON", "nul.txt", "com1", "LPT9.log", "a:b", "C:\\x", "..\\x", "x.", "x ", "a|b", "a\x07"]
)
def test_names_that_windows_cannot_hold_are_refused_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(SafetyRefused, match="this system cannot hold"):
        safe_child(tmp_path, name, windows=True)


@given(st.text())
def test_whatever_the_name_the_place_is_in_the_folder(name: str) -> None:
    folder = Path("/folder")
    try:
        place = safe_child(folder, name, windows=False)
    except (SafetyRefused, UnicodeEncodeError):
        return
    assert place.parent == folder
    assert place.name == name


def test_a_link_that_was_planted_on_the_way_is_not_followed_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "planted").symlink_to(outside)
    (root / "inner").symlink_to("real")
    assert safe_descendant(root, ("real", "x")) == root / "real" / "x"
    assert safe_descendant(root, ("inner", "x")) == root / "inner" / "x"
    assert safe_descendant(root, ()) == root
    with pytest.raises(SafetyRefused, match="a link on the way leads out of"):
        safe_descendant(root, ("planted", "x"))
