"""Blobs and records in memory."""
