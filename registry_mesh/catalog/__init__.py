"""Decides what is believed: the signed list of tags. A seam; nothing lives here yet."""
