"""Fills: blobs on their way in, with the readers that follow them."""
