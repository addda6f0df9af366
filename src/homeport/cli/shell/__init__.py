"""`homeport shell`: working on a server by typed commands, interactively or from a script."""
