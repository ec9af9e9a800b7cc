"""Decides how old an answer may be."""
