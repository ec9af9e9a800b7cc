"""Constructs, starts and stops; nothing else does."""
