"""Decides what is believed: who signed what."""
