"""Blobs and records in a bucket of an S3 server."""
