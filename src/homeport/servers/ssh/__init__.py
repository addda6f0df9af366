"""SSH: logins with passwords and keys, SFTP and scp over the accounts' homes, and the way to remote commands."""

from homeport import quick_asyncssh  # noqa: F401 - before any module here imports asyncssh
