"""Commands, exit codes, terminal text."""
