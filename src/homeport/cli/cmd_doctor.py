"""`homeport doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import click

from homeport.cli import options
from homeport.cli.terminal import printable, put, put_json


@click.command(name="doctor")
@options.overrides
@options.directory
@options.as_json
def command(overrides: tuple[str, ...], directory: str | None, as_json: bool) -> None:
    """Look for what is wrong and say how to mend it; works with a broken configuration too.

    The exit status is 0 when all is well, 1 with warnings, 2 with failures. Nothing is changed.
    """
    from homeport.daemon.doctor import examine_all, patient
    from homeport.daemon.finding import Finding, Level
    from homeport.daemon.instance import Instance

    def show(finding: Finding) -> None:
        level = finding.level.name.lower()
        if as_json:
            put_json({"check": finding.check, "level": level, "text": finding.text, "fix": finding.fix})
            return
        put(f"{level}  {finding.check}: {printable(finding.text)}")
        if finding.fix:
            put(f"      -> {printable(finding.fix)}")

    worst = Level.PASS
    for finding in examine_all(patient(Instance.at(directory), overrides)):
        worst = max(worst, finding.level)
        show(finding)
    raise click.exceptions.Exit(int(worst))
