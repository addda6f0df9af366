"""The client library: one `Remote`, one transfer engine, a sync planner, a trust store. It never asks or prints."""
