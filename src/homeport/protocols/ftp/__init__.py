"""FTP (RFC 959 and its descendants): the command table, the engine, and the formats that travel in it."""
