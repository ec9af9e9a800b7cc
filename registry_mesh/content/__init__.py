"""Moves and shares bytes wherever they lie; knows no place."""
