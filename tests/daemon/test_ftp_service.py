from __future__ import annotations

from pathlib import Path

import pytest

from homeport.config.model import Settings
from homeport.daemon.ftp_service import settings_for
from homeport.daemon.instance import Instance
from homeport.daemon.service import Place


@pytest.mark.parametrize(
    ("ports", "workers", "parts"),
    [
        ("2300-2304", 1, [(2300, 2301, 2302, 2303, 2304)]),
        ("2300-2304", 2, [(2300, 2302, 2304), (2301, 2303)]),
        ("2300-2302", 2, [(2300, 2301, 2302)] * 2),
        ("any", 2, [()] * 2),
    ],
)
def test_workers_divide_the_passive_ports(
    tmp_path: Path, ports: str, workers: int, parts: list[tuple[int, ...]]
) -> None:
    settings = Settings.model_validate({"workers": workers, "ftp": {"passive_ports": ports}})
    places = [Place(Instance(tmp_path), slot) for slot in range(workers)]
    assert [settings_for(settings, place).passive_ports for place in places] == parts
