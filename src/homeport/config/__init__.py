"""Settings: TOML in, frozen models out."""
