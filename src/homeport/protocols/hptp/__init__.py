"""HPTP, Homeport's own protocol (docs/hptp.md): frames, strict JSON, credit windows, and one engine for both roles."""
