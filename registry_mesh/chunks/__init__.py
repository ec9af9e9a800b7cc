"""Decides which part of a blob: spans, chunk maps, read-ahead. Touches nothing."""
