"""`homeport serve`: the first run's gifts, then the master."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from homeport.cli import options
from homeport.cli.terminal import printable, put, put_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from homeport.config.model import Settings
    from homeport.daemon.certificate import CertificateFacts
    from homeport.daemon.firstrun import FirstAccount
    from homeport.daemon.host_keys import HostKeyFacts
    from homeport.daemon.instance import Instance
    from homeport.daemon.master import Running
    from homeport.daemon.services import Services


class Prepared(NamedTuple):
    """What the greeting needs: an account's name, and the certificate's facts (None where TLS is off)."""

    name: str
    facts: CertificateFacts | None


@click.command(name="serve")
@options.directory
@options.overrides
@options.as_json
def command(directory: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Start the server and stay until it is stopped (Ctrl-C, SIGTERM, `homeport stop`).

    The first run makes the instance folder, settings, a self-signed certificate and one account, and shows its
    password once. A line that begins with "ready" on standard output says that clients can come.
    """
    from concurrent.futures import ThreadPoolExecutor

    from homeport.config.load import load
    from homeport.daemon.instance import Instance

    instance = Instance.at(directory)
    settings = load(instance.directory, overrides)
    instance.create(settings)
    with instance.lock(), ThreadPoolExecutor(1) as side:
        _write_files(instance, settings)
        # Looking into the state takes as long as the workers take to start, so both happen at once; except that a new
        # state is made before others look into it.
        is_new = not instance.state_file.exists()
        prepared = side.submit(_prepare, instance, settings, as_json)
        if is_new:
            prepared.result()
        _run(instance, settings, overrides, lambda running: _announce(instance, running, prepared.result(), as_json))


def _write_files(instance: Instance, settings: Settings) -> None:
    from homeport.config.checks import needs_certificate
    from homeport.daemon.firstrun import make_certificate, write_settings_file

    write_settings_file(instance)
    if needs_certificate(settings):
        make_certificate(instance, settings)


def _prepare(instance: Instance, settings: Settings, as_json: bool) -> Prepared:
    """Make the first account where there is none; what the greeting tells of account and certificate."""
    from homeport.daemon.services import Services

    with Services(instance, settings, "serve") as services:
        accounts = services.accounts.all()
        name = accounts[0].name if accounts else _make_account(services, as_json)
    return Prepared(name, _facts(instance, settings))


def _make_account(services: Services, as_json: bool) -> str:
    from homeport.cli.new_password import generate
    from homeport.daemon.firstrun import make_first_account

    made = make_first_account(services.accounts, generate())
    if made is None:
        return "NAME"
    _tell_account(made, as_json)  # at once: if the start fails, nobody can tell the password any more
    return made.name


def _tell_account(account: FirstAccount, as_json: bool) -> None:
    if as_json:
        put_json({"event": "account", "name": account.name, "password": account.password})
        return
    put(f"first run: made the account {printable(account.name)}")
    put(f"password, shown this once: {account.password}")


def _run(
    instance: Instance, settings: Settings, overrides: tuple[str, ...], announce: Callable[[Running], None]
) -> None:
    import asyncio

    from homeport.daemon import logs
    from homeport.daemon.master import Master

    logs.configure(settings.logs.level, "master")

    async def serve() -> None:
        await Master(instance, settings, overrides, announce).run()

    asyncio.run(serve())


def _announce(instance: Instance, running: Running, prepared: Prepared, as_json: bool) -> None:
    from homeport.cli.greeting import Greeting

    facts, host_key = prepared.facts, _host_key(instance, running)
    if as_json:
        fingerprint = None if facts is None else f"sha256:{facts.key_sha256}"
        told = {"event": "ready", "services": running.services, "fingerprint": fingerprint}
        put_json(told | ({} if host_key is None else {"ssh_fingerprint": host_key.fingerprint}))
        return
    certificate = None if facts is None else instance.path(running.settings.tls.certificate)
    greeting = Greeting(running.services, certificate, facts, prepared.name, host_key)
    for line in greeting.lines():
        put(line)
    put(greeting.ready_line())


def _host_key(instance: Instance, running: Running) -> HostKeyFacts | None:
    if "ssh" not in running.services:
        return None
    from homeport.daemon.host_keys import facts_of

    return facts_of(instance)


def _facts(instance: Instance, settings: Settings) -> CertificateFacts | None:
    from homeport.config.checks import needs_certificate

    if not needs_certificate(settings):
        return None
    from homeport.daemon.certificate import facts_of

    return facts_of(instance.path(settings.tls.certificate))
