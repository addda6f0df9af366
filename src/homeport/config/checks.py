"""What types cannot say: settings that contradict each other or the machine. One rule: looks, and changes nothing."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from homeport.config.ftp import FtpSettings
from homeport.config.listening import listening
from homeport.config.model import LoginSettings, Settings, StorageSettings
from homeport.config.problems import Problem

_DATABASES = ("postgresql://", "postgresql+psycopg://", "sqlite:///")


def check(settings: Settings, directory: Path) -> list[Problem]:
    """Everything in `settings` that cannot work for the instance in `directory`."""
    problems: list[Problem] = []
    problems += _check_ports(settings)
    problems += _check_ftp(settings.ftp)
    problems += _check_database(settings.database.url)
    problems += _check_storage(settings.storage, directory)
    problems += _check_login(settings.login)
    problems += _check_datagrams(settings)
    if needs_certificate(settings):
        problems += check_certificate(directory / settings.tls.certificate, directory / settings.tls.key)
    if not listening(settings):
        problems.append(Problem("ftp.enabled", "no service is left to run", "enable one"))
    return problems


def needs_certificate(settings: Settings) -> bool:
    """Whether a service that runs speaks TLS."""
    return settings.hptp.enabled or (settings.ftp.enabled and settings.ftp.tls != "off")


def _check_ports(settings: Settings) -> Iterator[Problem]:
    passive = set(settings.ftp.passive_port_numbers()) if settings.ftp.enabled else set()
    owners: dict[tuple[str, int], str] = {}
    for service in listening(settings):
        key, port, where = service.key, service.port, (service.transport, service.port)
        if port and where in owners:
            yield Problem(key, f"port {port} is taken by {owners[where]}", "give each service its own port")
        if port in passive and service.transport == "tcp":
            yield Problem(
                "ftp.passive_ports",
                f"the range {settings.ftp.passive_ports} contains {port}, which is {key}",
                f"leave a hole, as in {port - 10}-{port - 1},{port + 1}-{port + 10}",
            )
        owners.setdefault(where, key)


def _check_ftp(ftp: FtpSettings) -> Iterator[Problem]:
    if ftp.tls == "off" and ftp.implicit_port is not None:
        yield Problem("ftp.implicit_port", "implicit TLS needs TLS, and ftp.tls is off", 'set ftp.tls = "optional"')
    if ftp.tls == "off" and ftp.data_tls_resumption == "require":
        yield Problem("ftp.data_tls_resumption", "there is no TLS to resume, ftp.tls is off", 'set it to "off"')
    public = ftp.public_address
    for address in public.values() if isinstance(public, dict) else filter(None, [public]):
        if ":" in address:
            yield Problem("ftp.public_address", f"{address} is IPv6; PASV speaks IPv4 alone", "EPSV needs no address")
    if any(character in ftp.greeting for character in "\r\n\0"):
        yield Problem("ftp.greeting", "it contains a line break or NUL", "write one line")


def _check_database(url: str | None) -> Iterator[Problem]:
    if url is not None and not url.startswith(_DATABASES):
        yield Problem("database.url", "no such kind of database", f"it begins with one of {', '.join(_DATABASES)}")


def _check_storage(storage: StorageSettings, directory: Path) -> Iterator[Problem]:
    homes, stage = directory / storage.homes, directory / storage.stage
    for key, path in (("storage.homes", homes), ("storage.stage", stage)):
        if os.path.exists(path) and not os.path.isdir(path):  # pathlib's raise where a folder above cannot be entered
            yield Problem(key, f"{path} is no folder", "name a folder")
    resolved_homes, resolved_stage = homes.resolve(), stage.resolve()
    if resolved_homes == resolved_stage or resolved_homes in resolved_stage.parents:
        yield Problem("storage.stage", "unfinished uploads would lie among the homes", "name a folder beside them")
    if resolved_stage in resolved_homes.parents:
        yield Problem("storage.homes", "the homes would lie among the unfinished uploads", "name a folder beside them")
    devices = {nearest_device(homes), nearest_device(stage)}
    if len(devices) > 1:
        yield Problem(
            "storage.stage",
            f"{stage} and {homes} are on different file systems, so no upload can be moved into place",
            "put both on the same one",
        )
    for key, mode, needed in (
        ("file_mode", storage.file_mode, 0o600),
        ("directory_mode", storage.directory_mode, 0o700),
    ):
        if mode & needed != needed:
            yield Problem(
                f"storage.{key}", f"with {mode:04o} the server could not use its own files", f"add {needed:04o}"
            )


def nearest_device(path: Path) -> int:
    """The device number of `path`, or of the nearest folder above it that exists."""
    path = path.absolute()
    for candidate in (path, *path.parents):
        try:
            return candidate.stat().st_dev
        except OSError:
            continue
    return -1


def _check_login(login: LoginSettings) -> Iterator[Problem]:
    if login.max_delay_s < login.first_delay_s:
        yield Problem("login.max_delay_s", "it is shorter than login.first_delay_s", "make it at least as long")


def _check_datagrams(settings: Settings) -> Iterator[Problem]:
    for service in listening(settings):
        if service.transport == "udp" and service.hosts != service.listen:
            key = service.key.removesuffix("port") + "listen"
            yield Problem(key, "a Unix socket has no UDP", "name IP addresses alone")


def check_certificate(certificate: Path, key: Path) -> list[Problem]:
    """Whether both files can be read, fit together, and the key is private. Two missing files are made later."""
    if not os.path.lexists(certificate) and not os.path.lexists(key):
        return []
    problems = [*_check_readable("tls.certificate", certificate), *_check_readable("tls.key", key)]
    if problems:
        return problems
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        problems.append(Problem("tls.key", f"{key} has mode {mode:04o}, others could read it", f"run chmod 600 {key}"))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        problems.append(
            Problem("tls.certificate", f"{certificate} and {key} cannot be used: {reason}", _CERTIFICATE_ADVICE)
        )
    return problems


_CERTIFICATE_ADVICE = "both must be PEM and belong together; remove both to get a self-signed pair"


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; store it without one")


def _check_readable(key: str, path: Path) -> Iterator[Problem]:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        yield Problem(
            key, f"{path} cannot be read: {error.strerror}", "see that it exists and belongs to the server's user"
        )
