from __future__ import annotations

import pytest

from homeport.servers.lifecycle import Address, Life, Stage


def test_a_life_runs_from_new_to_closed() -> None:
    life = Life()
    for stage in (Stage.BOUND, Stage.SERVING, Stage.DRAINING, Stage.CLOSED):
        life.enter(stage)
        assert life.stage is stage


@pytest.mark.parametrize("stage", [Stage.NEW, Stage.SERVING, Stage.DRAINING])
def test_a_stage_cannot_be_jumped_over(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match=f"^a server that is new cannot become {stage.value}$"):
        Life().enter(stage)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("ftp", "127.0.0.1", 2121), "127.0.0.1:2121"),
        (Address("ftp", "::1", 2121), "[::1]:2121"),
        (Address("ftp", "", 0, "/run/ftp"), "unix:/run/ftp"),
    ],
)
def test_an_address_reads_as_one_writes_it(address: Address, text: str) -> None:
    assert str(address) == text
