from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from homeport.config.load import load
from homeport.config.model import Settings
from homeport.config.processors import processors, worker_count


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 8),
    ],
)
def test_control_groups_count(
    files: Mapping[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processors(tmp_path) == expected


def test_where_affinity_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors(tmp_path) == 3


def test_a_number_that_is_named_counts() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == processors()


@pytest.mark.parametrize(("text", "expected"), [("auto", 0), ("0", 0), ("3", 3)])
def test_what_may_be_written(text: str, expected: int, tmp_path: Path) -> None:
    assert load(tmp_path, [f"workers={text}"]).workers == expected


def test_auto_is_shown_as_it_is_written() -> None:
    assert Settings().model_dump(mode="json")["workers"] == "auto"
    assert Settings.model_validate({"workers": "auto"}) == Settings()
