"""Homeport: a multi-user file server and client."""

__version__ = "0.1.0"
