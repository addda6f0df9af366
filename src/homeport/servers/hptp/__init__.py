"""HPTP, Homeport's own protocol, as a server: one TLS connection, many requests at once, everything through `Home`."""
