"""Decides who may. Touches nothing."""
