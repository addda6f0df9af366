"""Settings of services that a third party brings: one table `[services.NAME]` each. Rule: what is named here is not
loaded here, so that settings can be read and shown where the service's code cannot run.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from homeport.config.values import Count, Listen, Network, Port, Seconds, Section, one_or_many

_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
BUILT_IN = frozenset({"chat", "exec", "ftp", "ftps", "hptp", "http", "https", "ntp", "sftp", "ssh", "time"})


def _check_class(text: str) -> str:
    if not _CLASS.fullmatch(text):
        raise ValueError(f"{text!r} names no class; write its module and its name, such as upper_echo:UpperEcho")
    return text


def _check_name(name: str) -> str:
    if name in BUILT_IN:
        raise ValueError(f"{name!r} is Homeport's own; give your service another name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no service's name: small letters, digits, - and _, at most 32, a letter first")
    return name


Networks = Annotated[tuple[Network, ...], BeforeValidator(one_or_many)]
ServiceName = Annotated[str, AfterValidator(_check_name)]


class ExtensionSettings(Section):
    """One service of a third party"""

    model_config = ConfigDict(populate_by_name=True)

    class_: Annotated[str, AfterValidator(_check_class)] = Field(alias="class")
    """The class to load, as MODULE:CLASS."""
    path: str = ""
    """A folder to look for the module in, beside the installed packages; a relative one starts at the instance folder.
    """
    enabled: bool = True
    """Whether this service runs."""
    transport: Literal["tcp", "udp"] = "tcp"
    """tcp: the class has `connected`. udp: it has `datagram`."""
    port: Port = 0
    """The port; 0 takes any free one, which `homeport status` tells."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - `allow` and `deny` say who may come
    """Addresses to listen on; with tcp also unix:PATH."""
    allow: Networks = ()
    """Networks that may come in; none named: all."""
    deny: Networks = ()
    """Networks that may not, though `allow` names them."""
    max_connections: Count = 1000
    """tcp: connections at once, in each worker."""
    idle_timeout_s: Seconds = 300.0
    """tcp: a connection that has sent nothing for so long is closed; 0: never."""
    requests_per_s: Count = 100
    """udp: datagrams a second from one address (IPv6: one /64); more are dropped."""
    max_request_bytes: Annotated[int, Field(ge=1, le=65507)] = 1472
    """udp: longer datagrams are dropped."""
    longer_replies: bool = False
    """udp: whether an answer may be longer than its request, which lets others aim it at a victim."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Whatever the class wants to be told."""

    @model_serializer(mode="wrap")
    def _with_class(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`class` is no name in Python, but it is the key's."""
        values: dict[str, Any] = serialize(self)
        return {"class": values.pop("class_"), **values}
