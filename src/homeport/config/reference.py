"""docs/configuration.md, made from the models, so that what is written there is what the server obeys.

The one rule: every word about a key comes from `model.py`; here is only the frame.
"""

from __future__ import annotations

import json

from homeport.config.model import Settings
from homeport.config.reloading import NEEDS_RESTART
from homeport.config.values import Section

_HEAD = """\
# Settings

Made from `src/homeport/config/model.py` by `make docs`; change it there.

Settings are in `homeport.toml` in the instance folder. Every key has a default, so the file may be empty. An unknown
key or a wrong value stops the start; `homeport config check` names all of them at once, and `homeport config show`
prints what is in force. `--set KEY=VALUE` sets a key for one start: `homeport serve --set ftp.port=2100`.

Sizes read `10GiB`, `500M` or plain bytes; durations read seconds, `90s`, `15m`, `24h` or `7d`. Keys marked *restart*
take effect at the next start; all others at `homeport reload`, for sessions that begin then.
"""


def render() -> str:
    """The whole of docs/configuration.md."""
    sections = [name for name, field in Settings.model_fields.items() if _is_section(field.annotation)]
    parts = [_HEAD, "## Top of the file\n", _table(Settings(), "", set(sections))]
    for name in sections:
        section: Section = getattr(Settings(), name)
        parts += [f"## [{name}]: {_title(section)}\n", _table(section, f"{name}.", set())]
    return "\n".join(parts)


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _title(section: Section) -> str:
    title = (type(section).__doc__ or "").strip()
    return title[0].lower() + title[1:] if title.split()[0].istitle() else title


def _table(section: Section, prefix: str, without: set[str]) -> str:
    values = section.model_dump(mode="json")
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in type(section).model_fields.items():
        if name not in without:
            restart = " *restart*" if prefix + name in NEEDS_RESTART else ""
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            rows.append(f"| `{name}` | {_literal(values[name])} | {meaning}{restart} |")
    return "\n".join([*rows, ""])


def _literal(value: object) -> str:
    """A default as it would stand in the file."""
    if value is None:
        return "not set"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value)}`"
