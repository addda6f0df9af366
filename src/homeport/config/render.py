"""Settings as a TOML file that explains itself. One rule: a default stands there commented, so that
uncommenting it is where every change begins; a password in a URL is never shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from homeport.config.model import Settings
from homeport.config.values import Section

_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@]*@")


def shown(settings: Settings) -> dict[str, Any]:
    """`settings` as JSON values that may be shown."""
    values = settings.model_dump(mode="json")
    if values["database"]["url"]:
        values["database"]["url"] = hide_password(values["database"]["url"])
    return values


def render(settings: Settings) -> str:
    """`settings` as TOML, each key with its comment."""
    values = shown(settings)
    sections = {name: value for name, value in settings if isinstance(value, Section)}
    lines = ["# Homeport's settings. A line that begins with # shows a default."]
    lines += _keys(Settings(), values, skip=set(sections))
    for name, section in sections.items():
        lines += ["", f"[{name}]  # {type(section).__doc__}", *_keys(type(section)(), values[name])]
    return "\n".join(lines) + "\n"


def hide_password(url: str) -> str:
    """`url` without its password."""
    return _PASSWORD.sub(r"\1:***@", url)


def _keys(defaults: Section, values: dict[str, Any], skip: Collection[str] = ()) -> list[str]:
    plain = defaults.model_dump(mode="json")
    lines: list[str] = []
    for name, field in type(defaults).model_fields.items():
        if name in skip:
            continue
        value = values[name]
        text = f"{name} = {toml(value)}" if value is not None else f"{name} is not set"
        lines += ["", *_comment(field.description or ""), text if value != plain[name] else f"# {text}"]
    return lines


def _comment(text: str) -> list[str]:
    words = " ".join(text.split())
    return [f"# {words}"] if words else []


def toml(value: object) -> str:
    """A JSON value as TOML."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(name, ensure_ascii=False)} = {toml(part)}" for name, part in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str):  # TOML has no \/ and wants DEL escaped; otherwise JSON's strings are TOML's
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
