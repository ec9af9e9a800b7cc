"""Commands that work on a store."""
