"""Homeport's own services over UDP: the time as text, SNTP, and the chat."""
