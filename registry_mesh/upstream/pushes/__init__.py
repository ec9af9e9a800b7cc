"""Pushing to a parent: blobs, manifests and tags go out."""
