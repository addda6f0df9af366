"""SSH: logins with passwords and keys, SFTP and scp over the accounts' homes, and the way to remote commands."""
