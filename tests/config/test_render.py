from __future__ import annotations

import re
import tomllib
from pathlib import Path

from homeport.config.load import load
from homeport.config.model import Settings, key_paths
from homeport.config.render import render, shown, toml


def uncommented(text: str) -> str:
    return re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)


def test_all_defaults_are_comments() -> None:
    tree = tomllib.loads(render(Settings()))
    assert all(value == {} for value in tree.values())


def test_uncommenting_the_defaults_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text(uncommented(render(Settings())), encoding="utf-8")
    assert load(tmp_path) == Settings()


def test_every_key_is_there() -> None:
    text = render(Settings())
    for key in key_paths():
        assert re.search(rf"^# {key.rpartition('.')[2]} (=|is not set)", text, re.MULTILINE), key


def test_what_differs_reads_back(tmp_path: Path) -> None:
    chosen = [
        'ftp.public_address={ "10.0.0.0/8" = "10.0.0.1", "0.0.0.0/0" = "203.0.113.7" }',
        'ftp.greeting="quo\\"te \\u007f 你好"',
        'ftp.listen=["::1"]',
        "ftp.implicit_port=990",
        "storage.file_mode=0640",
        "limits.upload_bytes_per_s=10M",
        "limits.idle_timeout_s=0.5",
    ]
    settings = load(tmp_path, chosen)
    (tmp_path / "homeport.toml").write_text(render(settings), encoding="utf-8")
    assert load(tmp_path) == settings
    assert '\ngreeting = "quo\\"te \\u007f 你好"\n' in render(settings)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, ["database.url=postgresql://homeport:hunter2@db/homeport"])
    assert 'url = "postgresql://homeport:***@db/homeport"' in render(settings)
    assert shown(settings)["database"]["url"] == "postgresql://homeport:***@db/homeport"


def test_values() -> None:
    assert toml({}) == "{}"
    assert toml([1, 2.0, 0.5, True, "a"]) == '[1, 2, 0.5, true, "a"]'
