"""The arguments that the engine has parsed, as the types that the command's shape promises.

The one rule: a shape that a handler does not expect is a mistake in the command table and ends in a TypeError, which a
test of every row would show.
"""

from __future__ import annotations

from typing import TypeVar

from homeport.protocols.ftp.events import Request

T = TypeVar("T")


def argument_of(request: Request, kind: type[T]) -> T:
    """The request's argument, which is a `kind`."""
    if not isinstance(request.argument, kind):
        raise TypeError(f"{request.command.name} has {request.argument!r} for an argument, no {kind.__name__}")
    return request.argument


def text_of(request: Request) -> str:
    """The argument of a shape such as PATH."""
    text = request.argument
    return text if isinstance(text, str) else argument_of(request, str)


def optional_text_of(request: Request) -> str | None:
    """The argument of a shape such as OPTIONAL_PATH."""
    return None if request.argument is None else argument_of(request, str)
