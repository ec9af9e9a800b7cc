"""The origin."""
