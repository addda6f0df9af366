"""Which keys a person may log in with: the agent's, a file that was named, or the usual files.

The one rule: what was named must work or say why; what was merely found is tried quietly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import asyncssh

from homeport.client.errors import LocalFailed, UsageError
from homeport.client.options import ConnectionOptions

# A server counts every key that it does not know as a failed login; OpenSSH ends a connection after six of them.
MAX_OFFERS = 5
USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")

KeyPair = asyncssh.SSHKeyPair


class Identities:
    """The key pairs to offer, looked for when the server wants one; `close` lets the agent go."""

    def __init__(
        self, options: ConnectionOptions, environment: Mapping[str, str] = os.environ, home: Path | None = None
    ) -> None:
        self._options = options
        self._environment = environment
        self._folder = (home or Path.home()) / ".ssh"
        self._agent: asyncssh.SSHAgentClient | None = None

    async def find(self) -> Sequence[KeyPair]:
        """Best first, none twice. Raises UsageError, LocalFailed for a file that was named."""
        if not self._options.keys:
            return []
        if self._options.identity is not None:
            return [load(self._options.identity, self._options)]
        found: dict[bytes, KeyPair] = {}
        for pair in (*await self._from_agent(), *self._from_files()):
            found.setdefault(pair.public_data, pair)
        return list(found.values())[:MAX_OFFERS]

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    async def _from_agent(self) -> Sequence[KeyPair]:
        path = self._environment.get("SSH_AUTH_SOCK")
        if not path:
            return []
        try:
            self._agent = await asyncssh.connect_agent(path)
            return await self._agent.get_keys()
        except (OSError, ValueError, asyncssh.Error):  # a stale socket, an agent that is locked
            return []

    def _from_files(self) -> Iterator[KeyPair]:
        for name in USUAL_FILES:
            try:
                yield from asyncssh.load_keypairs([str(self._folder / name)], ignore_encrypted=True)
            except (OSError, ValueError):  # asyncssh's errors about keys are ValueErrors
                continue


def load(path: Path, options: ConnectionOptions) -> KeyPair:
    """The key in the file `path`; its passphrase is asked for when it has one. Raises UsageError, LocalFailed."""
    try:
        return _read(path, None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as failure:
        text = str(failure)
        if "bcrypt" in text:
            raise UsageError(
                f"{path} has a passphrase, and to open it the package bcrypt is missing; "
                f"install it (pip install bcrypt), or use an agent (ssh-add {path})"
            ) from failure
        if "passphrase" not in text.lower():
            raise UsageError(f"{path} holds no private key that is understood: {text}") from failure
    if options.ask_passphrase is None:
        raise UsageError(f"{path} has a passphrase, and nobody is here to ask for it; use an agent (ssh-add {path})")
    try:
        return _read(path, options.ask_passphrase(str(path)))
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as failure:
        raise UsageError(f"{path}: this is not its passphrase") from failure


def _read(path: Path, passphrase: str | None) -> KeyPair:
    try:
        return asyncssh.load_keypairs([str(path)], passphrase)[0]
    except OSError as failure:
        raise LocalFailed(f"{path} cannot be read: {failure.strerror}") from failure
