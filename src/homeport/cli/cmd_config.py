"""`homeport config`: the settings, checked and shown. Neither verb changes anything."""

from __future__ import annotations

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import put, put_json, say


@click.group(name="config", cls=SuggestingGroup)
def command() -> None:
    """Check the settings, or show them all."""


@command.command()
@options.overrides
@options.directory
@options.as_json
def check(overrides: tuple[str, ...], directory: str | None, as_json: bool) -> None:
    """Say everything that is wrong with the settings. The exit status is 2 when something is."""
    from homeport.cli.exit_codes import Exit
    from homeport.config.load import examine
    from homeport.config.problems import ConfigError
    from homeport.daemon.instance import Instance

    instance = Instance.at(directory)
    _, problems = examine(instance.directory, overrides)
    if as_json:
        for problem in problems:
            put_json({"key": problem.key, "what": problem.what, "advice": problem.advice})
        put_json({"file": str(instance.config_file), "problems": len(problems)})
        raise click.exceptions.Exit(Exit.USAGE if problems else Exit.DONE)
    if problems:
        raise ConfigError(tuple(problems))
    say(f"{instance.config_file}: nothing is wrong")


@command.command()
@options.overrides
@options.directory
@options.as_json
def show(overrides: tuple[str, ...], directory: str | None, as_json: bool) -> None:
    """Print the settings in force as TOML; defaults are comments, and every key is explained."""
    from homeport.config.load import load
    from homeport.config.render import render, shown
    from homeport.daemon.instance import Instance

    settings = load(Instance.at(directory).directory, overrides)
    if as_json:
        put_json(shown(settings))
    else:
        put(render(settings).rstrip("\n"))
