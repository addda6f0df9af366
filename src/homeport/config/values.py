"""The kinds of values that settings have, each with its check, and the frame that all sections share.

One rule: a value that passes is usable; what it says wrong names the value, what is wrong and what to write.
"""

from __future__ import annotations

import codecs
import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from homeport.config.ports import parse_ports
from homeport.config.processors import MOST_WORKERS
from homeport.config.units import parse_duration, parse_mode, parse_size


def one_or_many(value: object) -> object:
    """One address may stand alone; a list becomes a tuple, because the models are frozen."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _check_listen(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if not addresses:
        raise ValueError("no address to listen on; name one, or set enabled = false")
    for address in addresses:
        if not (address.startswith("unix:") and len(address) > len("unix:")) and not _is_address(address):
            raise ValueError(
                f"{address!r} is no IP address and not unix:PATH; write such as 0.0.0.0, ::1 or unix:run/ftp"
            )
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address stands there twice; name each once")
    return addresses


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_ports(text: str) -> str:
    parse_ports(text)
    return text


def _ports_from_number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_charset(name: str) -> str:
    """A charset that Python knows, that is text, and in which ASCII means itself (or commands could not be read)."""
    try:
        if "/a\r\n".encode(name) != b"/a\r\n":
            raise ValueError(f"{name!r} does not contain ASCII; take one such as gb18030, big5 or latin-1")
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"no charset is called {name!r}; take one such as gb18030, big5 or latin-1") from None


def _check_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network: {error}; write such as 192.168.0.0/16 or ::/0") from None
    return text


def _check_address(text: str) -> str:
    if not _is_address(text):
        raise ValueError(f"{text!r} is no IP address; write the one that clients reach, such as 203.0.113.7")
    return text


def _auto_is_zero(value: object) -> object:
    return 0 if value == "auto" else value


def _off_is_none(value: object) -> object:
    return None if value == "off" else value


Port = Annotated[int, Field(ge=0, le=65535)]
OptionalPort = Annotated[
    Annotated[int, Field(ge=0, le=65535)] | None,
    BeforeValidator(_off_is_none),
    PlainSerializer(lambda port: "off" if port is None else port),
]
Workers = Annotated[
    int,
    Field(ge=0, le=MOST_WORKERS),
    BeforeValidator(_auto_is_zero),
    PlainSerializer(lambda count: count or "auto"),
]
Seconds = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
Mode = Annotated[int, BeforeValidator(parse_mode), PlainSerializer(lambda mode: f"{mode:04o}")]
Listen = Annotated[tuple[str, ...], BeforeValidator(one_or_many), AfterValidator(_check_listen)]
PortSet = Annotated[str, BeforeValidator(_ports_from_number), AfterValidator(_check_ports)]
Charset = Annotated[str, AfterValidator(_check_charset)]
Network = Annotated[str, AfterValidator(_check_network)]
Address = Annotated[str, AfterValidator(_check_address)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """What all sections share: unknown keys are errors, nothing is coerced, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def narrowest(table: dict[str, str], client: str) -> str | None:
    """The value of the narrowest network in `table` that contains the IP address `client`."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:  # a Unix socket's peer has no address
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    networks = [(ipaddress.ip_network(text), value) for text, value in table.items()]
    fitting = [(network.prefixlen, value) for network, value in networks if address in network]
    return max(fitting)[1] if fitting else None
