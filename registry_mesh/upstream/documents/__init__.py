"""Manifests, tags and lists of a parent's repositories."""
