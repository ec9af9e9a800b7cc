"""Repositories, tags and pushes, written over `Records` and `BlobStore`; knows no disk and no bucket."""
