"""From `MODULE:CLASS` to a service. The one rule: whatever a stranger's module does wrong becomes one sentence that
names the setting, what is missing, and where to read how it is done.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from homeport.servers.extensions.contract import Context, DatagramService, StreamService

Transport = Literal["tcp", "udp"]


@dataclass(eq=False)
class ExtensionUnusable(Exception):
    """The class `path` of service `name` cannot be used; `reason` says why and what to do."""

    name: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"services.{self.name}: {self.path} {self.reason}"


@dataclass(frozen=True, slots=True)
class Method:
    """A method that a service must have."""

    name: str
    arguments: tuple[str, ...]
    is_async: bool

    def __str__(self) -> str:
        return f"`{'async ' if self.is_async else ''}def {self.name}({', '.join(('self', *self.arguments))})`"


_LIFE = (Method("start", (), is_async=True), Method("stop", (), is_async=True))
NEEDED: dict[Transport, tuple[Method, ...]] = {
    "tcp": (*_LIFE, Method("connected", ("reader", "writer"), is_async=True)),
    "udp": (*_LIFE, Method("datagram", ("data", "peer"), is_async=False)),
}


def load_stream(context: Context, path: str, folder: str | None = None) -> StreamService:
    """The TCP service `path`, such as `upper_echo:UpperEcho`, constructed. Raises ExtensionUnusable."""
    return cast(StreamService, _construct(context, path, folder, "tcp"))


def load_datagram(context: Context, path: str, folder: str | None = None) -> DatagramService:
    """The UDP service `path`, constructed. Raises ExtensionUnusable."""
    return cast(DatagramService, _construct(context, path, folder, "udp"))


def _construct(context: Context, path: str, folder: str | None, transport: Transport) -> object:
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)  # at the end: a stranger's folder replaces no module of ours
    found = _find(context.name, path)
    wrong = list(_faults(found, NEEDED[transport]))
    if wrong:
        raise ExtensionUnusable(
            context.name, path, f"is no service for {transport}: {'; '.join(wrong)}; see docs/adding.md"
        )
    try:
        service: object = found(context)
    except Exception as error:
        raise ExtensionUnusable(context.name, path, f"could not be constructed: {_said(error)}") from error
    return service


def _find(name: str, path: str) -> type:
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ExtensionUnusable(name, path, f"cannot be imported: {_said(error)}") from error
        reason = (
            f"cannot be found: there is no module {error.name}; install it, or set services.{name}.path to its folder"
        )
        raise ExtensionUnusable(name, path, reason) from error
    except Exception as error:
        raise ExtensionUnusable(name, path, f"cannot be imported: {_said(error)}") from error
    found = getattr(module, class_name, None)
    if found is None:
        close = difflib.get_close_matches(class_name, dir(module), n=1)
        advice = f"; did you mean {close[0]}?" if close else ""
        raise ExtensionUnusable(name, path, f"does not exist in {module.__file__ or module_name}{advice}")
    if not isinstance(found, type):
        raise ExtensionUnusable(name, path, f"is no class but {type(found).__name__}")
    return found


def _faults(found: type, needed: tuple[Method, ...]) -> Iterator[str]:
    """What keeps the class from being a service."""
    if not _takes(found, 1):
        yield "its constructor must take one argument, the context"
    for method in needed:
        there = inspect.getattr_static(found, method.name, None)
        if there is None:
            yield f"it must have {method}"
            continue
        called = getattr(found, method.name)
        if not callable(called):
            yield f"{method.name} must be a method, {method}"
        elif inspect.iscoroutinefunction(called) != method.is_async:
            yield f"{method.name} must {'' if method.is_async else 'not '}be async, {method}"
        elif not _takes(called, len(method.arguments) + (not isinstance(there, staticmethod | classmethod))):
            yield f"{method.name} must take {len(method.arguments)} arguments, {method}"


def _takes(called: Callable[..., Any], count: int) -> bool:
    """Whether it can be called with so many positional arguments."""
    try:
        inspect.signature(called).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a class in C does not tell its arguments
        return True
    return True


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
