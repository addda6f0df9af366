"""The tables of states, and what is forgotten when."""

from __future__ import annotations

import pytest

from homeport.protocols.ftp.policy import Policy
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import LASTING, PENDING, Pending, Settings
from homeport.protocols.ftp.state import PHASES, WORKS, Mark, Misuse, Phase, Step, Work, next_phase, next_work


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("mark", Mark)
def test_phases(phase: Phase, mark: Mark) -> None:
    if mark in PHASES[phase]:
        assert next_phase(phase, mark) is PHASES[phase][mark]
    else:
        with pytest.raises(Misuse, match=f"^{mark.name} cannot happen {phase.value}$"):
            next_phase(phase, mark)


@pytest.mark.parametrize("work", Work)
@pytest.mark.parametrize("step", Step)
def test_works(work: Work, step: Step) -> None:
    if step in WORKS[work]:
        assert next_work(work, step) is WORKS[work][step]
    else:
        with pytest.raises(Misuse, match=f"^{step.name} cannot happen while waiting for {work.value}$"):
            next_work(work, step)


def test_every_work_can_be_left_and_closed() -> None:
    for work in Work:
        assert WORKS[work][Step.CLOSE] is Work.CLOSED


def test_pending_values_have_fields_and_are_forgotten() -> None:
    assert set(PENDING) == set(Pending)
    settings = Settings()
    for flag, (name, nothing) in PENDING.items():
        assert getattr(settings, name) == nothing
        settings.keep(flag, 5)
    settings.forget((~LASTING).value)
    left = {name for name, nothing in PENDING.values() if getattr(settings, name) != nothing}
    assert left == {"expectation", "allocation"}
    assert settings.pending == LASTING.value
    settings.forget(LASTING.value)
    assert settings == Settings()


def test_a_reset_leaves_nothing_but_tls() -> None:
    session = Session(Policy(), tls=True)
    session.name_user("a")
    session.client = session.host = "x"
    session.move(Mark.ACCEPTED)
    session.reset()
    assert (session.phase, session.user, session.client, session.host) == (Phase.STRANGER, "", "", "")
    assert session.tls
    assert session.settings == Session(Policy(), tls=True).settings
