"""FTP and FTPS as a Remote."""
