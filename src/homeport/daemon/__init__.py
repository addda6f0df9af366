"""Composition and nothing else: master, workers, control socket, signals, first run."""
