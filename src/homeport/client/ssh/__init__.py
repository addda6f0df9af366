"""SSH from the client's side: SFTP and remote commands. Loaded when a URL says sftp:// and not before."""
