"""HPTP (docs/hptp.md): one connection for everything that a process does with a server, and many things at once."""
