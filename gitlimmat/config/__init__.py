"""Config: limmat.toml and host settings, from text to records. Pure."""
