"""homeport.toml and `--set` in, frozen settings out. One rule: everything that is wrong is said at once, each with
its key, the nearest known key and what to do; no value that may be a secret is repeated."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeport.config.checks import check
from homeport.config.exec import NamedCommandSettings
from homeport.config.extensions import ExtensionSettings
from homeport.config.model import Settings, key_paths
from homeport.config.problems import ConfigError, Problem
from homeport.config.values import Section

FILE_NAME = "homeport.toml"
_MAX_FILE_BYTES = 1 << 20
_MAX_PROBLEMS = 50
_SECRET_KEYS = frozenset({"database.url"})


def load(directory: Path, overrides: Iterable[str] = ()) -> Settings:
    """The settings of the instance in `directory`, with `overrides` of the form `a.b=value` on top.

    A missing file means defaults. Raises ConfigError with all problems.
    """
    settings, problems = examine(directory, overrides)
    if problems:
        raise ConfigError(tuple(problems))
    return settings


def examine(directory: Path, overrides: Iterable[str] = ()) -> tuple[Settings, list[Problem]]:
    """As `load`, but gives the settings that remain when every wrong key is left out, and the problems."""
    problems: list[Problem] = []
    tree = _read_file(directory / FILE_NAME, problems)
    for override in overrides:
        _apply_override(tree, override, problems)
    settings = _validate(tree, problems)
    broken = {problem.key for problem in problems}
    problems += [problem for problem in check(settings, directory) if problem.key not in broken]
    return settings, problems[:_MAX_PROBLEMS]


def _read_file(path: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        problems.append(Problem("", f"{path.parent} is no folder", "--dir or $HOMEPORT_DIR must name one"))
        return {}
    except OSError as error:
        problems.append(Problem("", f"{path} cannot be read: {error.strerror}", "see its owner and mode"))
        return {}
    if len(data) > _MAX_FILE_BYTES:
        problems.append(Problem("", f"{path} is larger than {_MAX_FILE_BYTES} bytes", "is it the right file?"))
        return {}
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problems.append(Problem("", f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem("", f"{path} is not TOML: {error}", "text values need quotes"))
    except RecursionError:
        problems.append(Problem("", f"{path} is nested too deeply", "sections have one level"))
    return {}


def _apply_override(tree: dict[str, Any], override: str, problems: list[Problem]) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    parts = key.split(".")
    if not equals or not all(parts):
        problems.append(Problem("", f"--set {key!r} has no value", "write --set KEY=VALUE, such as --set ftp.port=0"))
        return
    for part in parts[:-1]:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[parts[-1]] = parse_value(text)


def parse_value(text: str) -> object:
    """`text` as a TOML value, or itself where it is none: `2121`, `["::1"]`, and `optional` without quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()


def _validate(tree: dict[str, Any], problems: list[Problem]) -> Settings:
    """Leaves out what is wrong until the rest is right; each round takes at least one key out."""
    for _ in range(_MAX_PROBLEMS):
        try:
            return Settings.model_validate(tree)
        except ValidationError as error:
            for known, details in _by_key(error).items():
                problems += [_problem(known, detail, tree) for detail in details]
                _remove(tree, _nothing_without(known))
    return Settings()


def _known_part(location: tuple[str, ...]) -> tuple[str, ...]:
    """The key that `location` is in: pydantic goes on into list items and the branches of unions."""
    if location[0] == "services":  # tables in a table; one whose name or class is wrong is wrong as a whole
        return location[: 3 if location[2:3] not in _WHOLE else 2]
    if location[:2] == ("exec", "commands"):
        return location[: 4 if location[3:4] != ("[key]",) else 3]
    return location[:2] if isinstance(_default_of(location[0]), Section) else location[:1]


_WHOLE = (("[key]",), ("class",))


def _default_of(name: str) -> object:
    field = Settings.model_fields.get(name)
    return field.default if field else None


def _nothing_without(known: tuple[str, ...]) -> tuple[str, ...]:
    """What goes with a wrong key: the rest of a command is no command, and saying so would say the same twice."""
    return known[:3] if known[:2] == ("exec", "commands") and known[3:] in (("argv",), ("parameters",)) else known


def _remove(tree: dict[str, Any], known: tuple[str, ...]) -> None:
    holder: Any = tree
    for part in known[:-1]:
        holder = holder.get(part)
    if isinstance(holder, dict):
        holder.pop(known[-1], None)
    else:
        tree.pop(known[0], None)


def _by_key(error: ValidationError) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """What to say of each key: what our own checks found, else the first of what pydantic found."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        location = tuple(str(part) for part in detail["loc"])
        found.setdefault(_known_part(location), []).append(detail)
    own = {known: [d for d in details if d["type"] == "value_error"] for known, details in found.items()}
    return {known: own[known] or details[:1] for known, details in found.items()}


def _problem(known: tuple[str, ...], detail: Mapping[str, Any], tree: dict[str, Any]) -> Problem:
    key = ".".join(known)
    if detail["type"] == "extra_forbidden":
        return Problem(key, "unknown key", nearest(key))
    if detail["type"] == "missing":
        return Problem(key, "it names no class", 'write class = "MODULE:CLASS"')
    if detail["type"] == "model_type":
        return Problem(key, "this is a section", f"write [{key}] and its keys below")
    return Problem(key, _what(key, detail, _at(tree, known)), _advice(detail))


def nearest(key: str) -> str:
    """Advice that names the known key, or section, most like `key`."""
    known = key_paths()
    section, _, last = key.rpartition(".")
    if section.startswith("services."):
        known = tuple(f"{section}.{name.rstrip('_')}" for name in ExtensionSettings.model_fields)
    if section.startswith("exec.commands."):
        known = tuple(f"{section}.{name}" for name in NamedCommandSettings.model_fields)
    same_last = [path for path in known if path.rpartition(".")[2] == last]
    close = same_last[:1] or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    sections = {path.partition(".")[0] for path in known if "." in path}
    if likely := difflib.get_close_matches(key, sections, n=1, cutoff=0.6):
        return f"did you mean [{likely[0]}]?"
    return "`homeport config show` lists all keys"


def _at(tree: dict[str, Any], known: tuple[str, ...]) -> object:
    found: Any = tree
    for part in known:
        found = found.get(part) if isinstance(found, dict) else None
    return found


# pydantic's error type -> the sentence; {value} is what was written.
_SENTENCES = {
    "int_type": "{value} is no whole number",
    "bool_type": "{value} is neither true nor false",
    "string_type": "{value} is no text",
    "tuple_type": "{value} is no list",
    "greater_than_equal": "{value} is too small; the least is {ge}",
    "less_than_equal": "{value} is too large; the most is {le}",
    "literal_error": "{value} is not one of {expected}",
}


_FRAGMENTS = ("not a ", "too large")  # reasons that need the value in front of them


def _what(key: str, detail: Mapping[str, Any], value: object) -> str:
    shown = "the value" if key in _SECRET_KEYS else _shown(value)
    context = {name: str(part) for name, part in detail.get("ctx", {}).items()}
    if detail["type"] == "value_error":
        text = context["error"]
        return f"{shown}: {text}" if text.startswith(_FRAGMENTS) else text
    sentence = _SENTENCES.get(detail["type"])
    if sentence is None:
        return f"{shown}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return sentence.format(value=shown, **context)


def _advice(detail: Mapping[str, Any]) -> str:
    return 'write it in quotes: "..."' if detail["type"] == "string_type" else ""


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}..."
