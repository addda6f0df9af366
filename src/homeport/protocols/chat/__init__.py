"""The chat's datagrams: ordered, acknowledged, sealed one by one. No I/O and no clock; see docs/chat.md."""
