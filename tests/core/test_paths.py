"""VirtualPath: whatever a peer says, what comes out is a tuple of clean segments below the root."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homeport.core.errors import InvalidPath
from homeport.core.paths import DEPTH_MAX, NAME_MAX_BYTES, PATH_MAX_BYTES, ROOT, VirtualPath, name_bytes, name_text


@pytest.mark.parametrize(
    ("start", "said", "meant"),
    [
        ("/", "a", "/a"),
        ("/a/b", "c", "/a/b/c"),
        ("/a/b", "/c", "/c"),
        ("/a/b", "..", "/a"),
        ("/a/b", "../../../..", "/"),
        ("/a", "", "/a"),
        ("/a", ".", "/a"),
        ("/", "//etc//passwd/", "/etc/passwd"),
        ("/", "/../../etc/passwd", "/etc/passwd"),
        ("/", "....//", "/...."),
        ("/", "..\\..\\x", "/..\\..\\x"),
        ("/", "%2e%2e/x", "/%2e%2e/x"),
        ("/", "\uff0e\uff0e/x", "/\uff0e\uff0e/x"),
        ("/", "~root", "/~root"),
        ("/", "中文/桜", "/中文/桜"),
        ("/", "\udcff", "/\udcff"),
        ("/", "x" * NAME_MAX_BYTES, "/" + "x" * NAME_MAX_BYTES),
    ],
)
def test_join(start: str, said: str, meant: str) -> None:
    assert str(ROOT.join(start).join(said)) == meant


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("a\0b", r"a\0b: a name cannot hold a NUL"),
        ("\ud800", r"'\ud800': a name cannot hold this character"),
        ("\0" * 60_000, r"\0" * 80 + "...: a name cannot hold a NUL"),
        ("x" * 60_000 + "\ud800", "'" + "x" * 80 + "...': a name cannot hold this character"),
        ("x" * (NAME_MAX_BYTES + 1), "x" * 80 + "...: a name is longer than 255 bytes"),
        ("文" * 86, "文" * 80 + "...: a name is longer than 255 bytes"),
        ("abc/" * 1024, "abc/" * 20 + "...: the path is too long"),
        ("a/" * (DEPTH_MAX + 1), "a/" * 40 + "...: the path is too long"),
    ],
)
def test_names_that_no_disk_can_hold_are_refused(said: str, sentence: str) -> None:
    with pytest.raises(InvalidPath) as refusal:
        ROOT.join(said)
    assert str(refusal.value) == sentence


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["..", ".", "", "/"]), max_size=30))
@example(["..", "..", "a"])
def test_no_spelling_climbs_above_the_root(parts: list[str]) -> None:
    said = "/".join(parts)
    try:
        path = VirtualPath(("home",)).join(said)
    except InvalidPath:
        assert "\0" in said
        return
    assert all(segment not in ("", ".", "..") and "/" not in segment for segment in path.segments)
    assert ROOT.join(str(path)) == path
    assert len(str(path).encode()) <= PATH_MAX_BYTES + 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
def test_a_child_is_one_clean_segment(name: str) -> None:
    with pytest.raises(InvalidPath, match="not a file name"):
        ROOT.child(name)


def test_child_parent_name_and_root() -> None:
    path = ROOT.child("a").child("b c")
    assert (str(path), path.name, str(path.parent), path.is_root) == ("/a/b c", "b c", "/a", False)
    assert (str(ROOT), ROOT.name, ROOT.parent, ROOT.is_root) == ("/", "", ROOT, True)


def test_is_within() -> None:
    folder = ROOT.join("/a/b")
    assert folder.join("c/d").is_within(folder)
    assert folder.is_within(folder)
    assert not ROOT.join("/a/bc").is_within(folder)
    assert not ROOT.join("/a").is_within(folder)


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("/plain", ["/plain"]),
        ("/caf\u00e9", ["/caf\u00e9", "/cafe\u0301"]),
        ("/cafe\u0301", ["/cafe\u0301", "/caf\u00e9"]),
        ("/e\u0301/\u00e9", ["/e\u0301/\u00e9", "/\u00e9/\u00e9", "/e\u0301/e\u0301"]),
    ],
)
def test_spellings_begin_with_the_exact_one(text: str, spellings: list[str]) -> None:
    assert [str(path) for path in ROOT.join(text).spellings()] == spellings


@given(st.binary(min_size=1, max_size=40))
def test_every_name_on_disk_survives_the_round_trip(raw: bytes) -> None:
    assert name_bytes(name_text(raw)) == raw
