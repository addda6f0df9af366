"""SSH from the client's side: SFTP and remote commands. Loaded when a URL says sftp:// and not before."""

from homeport import quick_asyncssh  # noqa: F401 - before any module here imports asyncssh
