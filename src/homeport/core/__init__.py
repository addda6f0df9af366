"""The rules of the house: accounts, jail, quota, transfers, audit. No sockets, no wire codes, no event loop."""
