"""Names and paths in JSON: text where they are UTF-8, `{"b": base64}` where they are not.

The one rule: each name has exactly one form on the wire, so that two spellings are never two files.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from homeport.protocols.hptp.strict_json import Json


def to_wire(name: str) -> Json:
    """The form of `name`, in which bytes that are no UTF-8 stand as surrogates (PEP 383)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return {"b": b64encode(name.encode(errors="surrogateescape")).decode()}
    return name


def from_wire(value: Json) -> str:
    """The name that `value` stands for. Raises ValueError with the reason."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or value.keys() != {"b"} or not isinstance(value["b"], str):
        raise ValueError('a name is text or {"b": base64}')
    try:
        raw = b64decode(value["b"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a name whose base64 is none") from error
    name = raw.decode(errors="surrogateescape")
    if to_wire(name) != value:
        raise ValueError("a name in base64 that has a shorter form")
    return name
