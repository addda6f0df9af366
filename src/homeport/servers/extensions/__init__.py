"""Services of third parties: what their classes must have, how they are loaded, and the servers that run them."""
