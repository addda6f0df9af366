"""The FTP and FTPS front end."""
