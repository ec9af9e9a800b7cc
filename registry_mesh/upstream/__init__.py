"""The wall towards other registries."""
