"""What doctor looks at in the instance folder. One rule: a check reads, and never makes or mends anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from homeport.daemon.finding import Check, Patient, Result, fail, warn, well
from homeport.daemon.instance import Instance

_EXPIRES_SOON_DAYS = 30


def _config(who: Patient) -> Iterator[Result]:
    for problem in who.problems:
        yield fail(f"{problem.key or who.instance.config_file}: {problem.what}", problem.advice or "correct it")
    if not who.problems:
        there = who.instance.config_file.exists()
        yield well(f"{who.instance.config_file} is right" if there else "no homeport.toml: all defaults")


def _folder(who: Patient) -> Iterator[Result]:
    directory = who.instance.directory
    if not directory.is_dir():
        yield warn(f"{directory} does not exist yet", "`homeport serve` makes it")
        return
    findings = [*_modes(who.instance)]
    yield from findings or [well(f"{directory} is private")]


def _modes(instance: Instance) -> Iterator[Result]:
    found = instance.directory.stat()
    if found.st_uid not in (os.geteuid(), 0):
        yield fail(
            f"{instance.directory} belongs to user {found.st_uid}",
            f"run as that user, or chown -R it to {os.geteuid()}",
        )
    if not os.access(instance.directory, os.W_OK | os.X_OK):
        yield fail(
            f"{instance.directory} cannot be written", "see its owner, its mode, and whether the disk is read-only"
        )
    private = (instance.directory, instance.config_file, instance.state_file, instance.run)
    for path in private:
        mode = stat.S_IMODE(path.stat().st_mode) if os.path.exists(path) else 0
        if mode & 0o022:
            yield fail(f"others may write {path} (mode {mode:04o})", f"chmod go-rwx {path}")
        elif mode & 0o055:
            yield warn(f"others may read {path} (mode {mode:04o})", f"chmod go-rwx {path}")


def _server(who: Patient) -> Iterator[Result]:
    if who.status is None:
        yield warn("no server is running", "`homeport serve` starts one")
    elif who.status["state"] != "ready":
        yield warn(f"the server is {who.status['state']}", "see what it says on standard error")
    else:
        yield well(f"ready, process {who.status['pid']}, {who.status['workers']} worker(s)")


def _storage(who: Patient) -> Iterator[Result]:
    from homeport.config.checks import nearest_device

    storage = who.settings.storage
    homes, stage = who.instance.path(storage.homes), who.instance.path(storage.stage)
    if nearest_device(homes) != nearest_device(stage):
        yield fail(
            "homes and unfinished uploads are on different file systems", "put storage.stage beside storage.homes"
        )
    else:
        yield well("homes and unfinished uploads are on one file system")


def _certificate(who: Patient) -> Iterator[Result]:
    from homeport.daemon.certificate import facts_of

    if who.settings.ftp.tls == "off":
        yield warn("TLS is off: passwords and files can be read on the way", 'set ftp.tls = "required"')
        return
    path = who.instance.path(who.settings.tls.certificate)
    if not path.exists():
        yield warn(f"{path} does not exist yet", "`homeport serve` makes one")
        return
    yield _expiry(path, (facts_of(path).not_after - datetime.now(UTC)).days)


def _host_key(who: Patient) -> Iterator[Result]:
    from homeport.daemon.host_keys import facts_of

    if not who.settings.ssh.enabled:
        return
    found = facts_of(who.instance)
    if found is None:
        yield warn("there is no SSH host key yet", "`homeport serve` makes one")
    else:
        yield well(f"{found.kind} {found.fingerprint}")


def _expiry(path: Path, days: int) -> Result:
    if days < 0:
        return fail(f"{path} has expired {-days} days ago", "replace it, then run `homeport reload`")
    if days < _EXPIRES_SOON_DAYS:
        return warn(f"{path} expires in {days} days", "replace it, then run `homeport reload`")
    return well(f"good for {days} days")


def _fsync(who: Patient) -> Iterator[Result]:
    if who.settings.fsync == "never":
        yield warn("a power cut may lose uploads that were acknowledged", 'set fsync = "group"')
    else:
        yield well(f'fsync = "{who.settings.fsync}": acknowledged uploads survive a power cut')


def _accounts(who: Patient) -> Iterator[Result]:
    from homeport.config.checks import nearest_device
    from homeport.daemon.services import Services

    if who.settings.database.url is None and not who.instance.state_file.exists():
        yield warn("no account yet", "`homeport serve` makes the first one, `homeport user add NAME` more")
        return
    with Services(who.instance, who.settings, "doctor") as services:
        accounts = services.accounts.all()
    missing = [account for account in accounts if not os.access(account.home, os.R_OK | os.W_OK | os.X_OK)]
    for account in missing:
        yield fail(f"the home of {account.name} cannot be used: {account.home}", "mount it, make it, or mend its owner")
    stage = nearest_device(who.instance.path(who.settings.storage.stage))
    apart = [account for account in accounts if account not in missing and nearest_device(account.home) != stage]
    for account in apart:
        yield fail(
            f"the home of {account.name} and the unfinished uploads are on different file systems: {account.home}",
            "nothing can be stored there; `homeport user set NAME --home FOLDER` names another",
        )
    if not accounts:
        yield warn("there is no account", "`homeport user add NAME` makes one")
    elif not missing and not apart:
        yield well(f"{len(accounts)} account(s), every home is there")


CHECKS: dict[str, Check] = {
    "config": _config,
    "instance folder": _folder,
    "server": _server,
    "accounts": _accounts,
    "certificate": _certificate,
    "SSH host key": _host_key,
    "one file system": _storage,
    "fsync": _fsync,
}
