"""What may follow what: one table for who the peer is, one for what the engine is waiting for.

The one rule: a state changes by looking the step up here; a step that the table does not hold is the caller's mistake.
"""

from __future__ import annotations

import enum


class Misuse(RuntimeError):
    """The server called the engine at a moment when the table does not allow it."""


class _State(enum.Enum):
    """Members are keys of the tables below: hashed by identity, as enum's own way is ten times as slow."""

    __hash__ = object.__hash__


class Phase(_State):
    """How far the login is."""

    STRANGER = "before USER"
    NAMED = "after USER"
    LOGGED_IN = "logged in"


class Mark(_State):
    """What moves a Phase."""

    USER = enum.auto()
    ACCEPTED = enum.auto()
    REFUSED = enum.auto()
    RESET = enum.auto()


PHASES: dict[Phase, dict[Mark, Phase]] = {
    Phase.STRANGER: {Mark.USER: Phase.NAMED, Mark.RESET: Phase.STRANGER},
    Phase.NAMED: {
        Mark.USER: Phase.NAMED,
        Mark.ACCEPTED: Phase.LOGGED_IN,
        Mark.REFUSED: Phase.STRANGER,
        Mark.RESET: Phase.STRANGER,
    },
    Phase.LOGGED_IN: {Mark.USER: Phase.NAMED, Mark.RESET: Phase.STRANGER},
}


class Work(_State):
    """What the engine is waiting for."""

    GREETING = "the server's greeting"
    IDLE = "the peer's next command"
    BUSY = "the server's reply"
    TRANSFER = "the end of a transfer"
    LOGIN = "the verdict on a password"
    HANDSHAKE = "the end of a TLS handshake"
    CLOSED = "nothing"


class Step(_State):
    """What moves a Work."""

    GREETED = enum.auto()
    ASKED = enum.auto()  # a Request, or Reinitialize
    ASKED_FOR_DATA = enum.auto()  # a Request that opens a data connection
    TRANSFERRING = enum.auto()
    ANSWERED = enum.auto()
    PASSWORD = enum.auto()
    JUDGED = enum.auto()
    AUTH = enum.auto()
    SECURED = enum.auto()
    CLOSE = enum.auto()


WORKS: dict[Work, dict[Step, Work]] = {
    Work.GREETING: {Step.GREETED: Work.IDLE, Step.CLOSE: Work.CLOSED},
    Work.IDLE: {
        Step.ASKED: Work.BUSY,
        Step.ASKED_FOR_DATA: Work.TRANSFER,
        Step.PASSWORD: Work.LOGIN,
        Step.AUTH: Work.HANDSHAKE,
        Step.CLOSE: Work.CLOSED,
    },
    Work.BUSY: {Step.TRANSFERRING: Work.TRANSFER, Step.ANSWERED: Work.IDLE, Step.CLOSE: Work.CLOSED},
    Work.TRANSFER: {
        Step.TRANSFERRING: Work.TRANSFER,
        Step.ANSWERED: Work.IDLE,
        Step.CLOSE: Work.CLOSED,
    },
    Work.LOGIN: {Step.JUDGED: Work.IDLE, Step.CLOSE: Work.CLOSED},
    Work.HANDSHAKE: {Step.SECURED: Work.IDLE, Step.CLOSE: Work.CLOSED},
    # A transfer may end, or a password be judged, after the peer has gone: nobody hears it, and that is no mistake.
    Work.CLOSED: dict.fromkeys(Step, Work.CLOSED),
}


def next_phase(phase: Phase, mark: Mark) -> Phase:
    """The phase after `mark`. Raises Misuse when the table does not hold it."""
    try:
        return PHASES[phase][mark]
    except KeyError:
        raise Misuse(f"{mark.name} cannot happen {phase.value}") from None


def next_work(work: Work, step: Step) -> Work:
    """The work after `step`. Raises Misuse when the table does not hold it."""
    try:
        return WORKS[work][step]
    except KeyError:
        raise Misuse(f"{step.name} cannot happen while waiting for {work.value}") from None
