"""asyncio front ends, one folder a protocol. They know sockets and wire codes; the rules are in `core`."""
