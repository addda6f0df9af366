"""What can go wrong between commands, master and workers. One rule: each says what, why and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class DaemonError(Exception):
    """The root of the tree. Never raised itself."""

    def __post_init__(self) -> None:
        self.args = tuple(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(eq=False)
class AlreadyRunning(DaemonError):
    """Another server holds the lock of this instance folder."""

    directory: str
    pid: int | None

    def __str__(self) -> str:
        who = f" (process {self.pid})" if self.pid else ""
        return f"a server{who} is running on {self.directory} already; `homeport stop` ends it"


@dataclass(eq=False)
class NotRunning(DaemonError):
    """Nobody answers on the control socket."""

    directory: str

    def __str__(self) -> str:
        return f"no server is running on {self.directory}; `homeport serve` starts one"


@dataclass(eq=False)
class NotReady(DaemonError):
    """The server did not get ready in time."""

    waited_s: float

    def __str__(self) -> str:
        return f"the server was not ready within {self.waited_s:g} s; see what `homeport serve` says"


@dataclass(eq=False)
class StartFailed(DaemonError):
    """The server cannot start; `reason` says why and what to do."""

    reason: str

    def __str__(self) -> str:
        return f"the server cannot start: {self.reason}"


@dataclass(eq=False)
class InstanceUnusable(DaemonError):
    """The instance folder cannot be made or used."""

    directory: str
    reason: str

    def __str__(self) -> str:
        return f"the instance folder {self.directory} cannot be used: {self.reason}"


@dataclass(eq=False)
class InstanceMissing(DaemonError):
    """There is no instance, and the command makes none: a mistyped folder must not look like an empty one."""

    directory: str

    def __str__(self) -> str:
        return (
            f"there is no Homeport instance in {self.directory}; --dir or $HOMEPORT_DIR names another folder, "
            "`homeport serve` or `homeport user add NAME` makes one here"
        )


@dataclass(eq=False)
class ControlFailed(DaemonError):
    """The server's answer could not be had or understood."""

    reason: str

    def __str__(self) -> str:
        return f"the server did not answer as it should: {self.reason}"


@dataclass(eq=False)
class ControlRefused(DaemonError):
    """The server answered with a refusal; `kind` is one of control.REFUSALS."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text
