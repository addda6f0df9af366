"""Languages: pure, sans-I/O. Bytes and `now` come in, events and bytes go out."""
