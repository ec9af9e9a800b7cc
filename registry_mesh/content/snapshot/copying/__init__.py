"""Blobs, manifests and tags on their way from sources into a store."""
