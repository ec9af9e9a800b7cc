"""Blobs, parts of blobs and records in a folder of a file system."""
