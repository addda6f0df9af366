"""Names come back byte for byte, two spellings stay two names, and no path leads out of the home."""

from __future__ import annotations

import pytest
from tests.contract.house import House
from tests.contract.subject import HomeUnderTest, Kind, refused

from homeport.core.paths import name_text

# Names that break a server that decodes, trims, globs, folds or quotes them. Bytes are as they stand on the disk.
NAMES = {
    "plain": b"file.txt",
    "spaces": b"two words",
    "space first": b" file",
    "space last": b"file ",
    "dot first": b".hidden",
    "dots last": b"file...",
    "three dots": b"...",
    "dash": b"-rf",
    "option": b"-la",
    "quotes": b'"it\'s"',
    "backslash": b"a\\b",
    "dots and backslash": b"..\\file",
    "glob": b"*?[a-z]{b,c}",
    "tilde": b"~root",
    "percent": b"%2e%2e%2f",
    "reserved elsewhere": b"CON",
    "colon": b"nul.txt:stream",
    "semicolons": b"Type=file;Size=1; x",
    "reply": b"226 Transfer complete",
    "composed": "café".encode(),
    "apart": "cafe\u0301".encode(),
    "chinese": "中文文件名".encode(),
    "gb18030": "中文".encode("gb18030"),
    "latin-1": b"caf\xe9",
    "invalid utf-8": b"\x80\xfe\xc0\xaf",
    "emoji": "🏠👩‍💻".encode(),
    "right to left": "\u202eexe.txt".encode(),
    "zero width": "a\u200bb".encode(),
    "full width dots": "．．".encode(),
    "255 bytes": b"n" * 255,
    "255 bytes of emoji": "🏠".encode() * 63 + b"abc",
}


@pytest.mark.parametrize("raw", NAMES.values(), ids=NAMES.keys())
def test_a_name_is_kept_byte_for_byte(ann: HomeUnderTest, house: House, raw: bytes) -> None:
    name = name_text(raw)
    ann.put(f"/{name}", b"content")
    assert [entry.name.encode("utf-8", "surrogateescape") for entry in house.home("ann").iterdir()] == [raw]
    assert ann.list("/") == [name]
    assert ann.get(f"/{name}") == b"content"
    assert ann.stat(f"/{name}").size == 7
    ann.rename(f"/{name}", "/renamed")
    ann.rename("/renamed", f"/{name}")
    ann.remove(f"/{name}")
    assert ann.list("/") == []


@pytest.mark.parametrize("raw", NAMES.values(), ids=NAMES.keys())
def test_a_folder_may_have_any_name(ann: HomeUnderTest, raw: bytes) -> None:
    name = name_text(raw)
    ann.mkdir(f"/{name}")
    ann.put(f"/{name}/file", b"content")
    assert ann.list(f"/{name}") == ["file"]
    assert ann.get(f"/{name}/file") == b"content"
    ann.remove(f"/{name}/file")
    ann.rmdir(f"/{name}")


@pytest.mark.parametrize("raw", [b"tab\there", b"escape\x1b[31m", b"bell\x07", b"del\x7f", b"line\nbreak", b"\r"])
def test_a_planted_name_of_control_characters_breaks_no_listing(ann: HomeUnderTest, house: House, raw: bytes) -> None:
    with house.planting("ann") as home:
        (home / name_text(raw)).write_bytes(b"x")
        (home / "after").write_bytes(b"x")
    assert "after" in ann.list("/")


def test_two_spellings_stay_two_names(ann: HomeUnderTest) -> None:
    ann.put("/caf\u00e9", b"composed")
    ann.put("/cafe\u0301", b"apart")
    assert sorted(ann.list("/")) == ["cafe\u0301", "caf\u00e9"]
    assert ann.get("/caf\u00e9") == b"composed"
    assert ann.get("/cafe\u0301") == b"apart"


@pytest.mark.parametrize(("there", "asked"), [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
def test_a_lookup_finds_the_other_spelling(ann: HomeUnderTest, there: str, asked: str) -> None:
    ann.mkdir(f"/{there}")
    ann.put(f"/{there}/file", b"content")
    assert ann.get(f"/{asked}/file") == b"content"
    assert ann.list(f"/{asked}") == ["file"]
    ann.put(f"/{asked}/more", b"")
    assert sorted(ann.list(f"/{there}")) == ["file", "more"]
    ann.remove(f"/{asked}/more")
    ann.rename(f"/{asked}/file", f"/{asked}/other")
    assert ann.list("/") == [there]


def test_upper_and_lower_case_are_two_names(ann: HomeUnderTest) -> None:
    ann.put("/File", b"upper")
    ann.put("/file", b"lower")
    assert (ann.get("/File"), ann.get("/file")) == (b"upper", b"lower")


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128, "🏠" * 64])
def test_a_name_longer_than_a_disk_takes_is_refused(ann: HomeUnderTest, name: str) -> None:
    with refused(Kind.INVALID):
        ann.put(f"/{name}", b"")
    with refused(Kind.INVALID):
        ann.mkdir(f"/{name}")
    assert ann.list("/") == []


def test_a_path_longer_than_a_disk_takes_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.INVALID):
        ann.mkdir("/" + "folder/" * 400 + "n" * 1500)


def test_a_path_deeper_than_a_disk_takes_is_refused(ann: HomeUnderTest) -> None:
    with refused(Kind.INVALID):
        ann.get("/" + "d/" * 600 + "file")


def test_folders_may_be_deep(ann: HomeUnderTest) -> None:
    path = ""
    for _ in range(100):
        path += "/d"
        ann.mkdir(path)
    ann.put(path + "/file", b"deep")
    assert ann.get(path + "/file") == b"deep"


CLIMBS = (
    "/../secret",
    "/../../../../../../secret",
    "/folder/../../secret",
    "//..//secret",
    "/./../secret",
    "/folder/../secret",
)


@pytest.mark.parametrize("path", CLIMBS)
def test_no_path_climbs_out_of_the_home(ann: HomeUnderTest, house: House, path: str) -> None:
    outside = house.home("ann").parent / "secret"
    outside.write_bytes(b"secret")
    ann.mkdir("/folder")
    with refused(Kind.NOT_FOUND):
        ann.get(path)
    ann.put(path, b"mine")
    assert outside.read_bytes() == b"secret"
    assert ann.get("/secret") == b"mine"
    outside.unlink()


@pytest.mark.parametrize("path", ["//file", "/./file", "/folder/../file", "/file/", "/../file"])
def test_a_path_is_cleaned(ann: HomeUnderTest, path: str) -> None:
    ann.mkdir("/folder")
    ann.put("/file", b"content")
    assert ann.get(path) == b"content"


def test_paths_of_the_machine_mean_nothing(ann: HomeUnderTest) -> None:
    for path in ("/etc/passwd", "/proc/self/environ", "//etc/passwd"):
        with refused(Kind.NOT_FOUND):
            ann.get(path)
