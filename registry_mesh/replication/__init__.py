"""Decides what is wanted: patterns, rules, plans. Touches nothing."""
