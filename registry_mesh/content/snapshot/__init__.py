"""Bringing a store to what rules select of a registry."""
