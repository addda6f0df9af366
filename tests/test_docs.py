"""The papers that are made from the code say what the code says; `make docs` writes them anew."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path

import pytest

from homeport.config.model import key_paths

ROOT = Path(__file__).parent.parent
MADE_BY: dict[str, str] = runpy.run_path(str(ROOT / "tools" / "make-docs"))["MADE_BY"]


@pytest.mark.parametrize("name", MADE_BY)
def test_a_made_paper_is_up_to_date(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == importlib.import_module(MADE_BY[name]).render(), "run `make docs`"


def test_every_setting_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in key_paths():
        section, _, name = key.rpartition(".")
        after = text[text.index(f"## [{section}]" if section else "## Top") :]
        assert f"| `{name}` |" in after.split("\n## ", 1)[0], key
