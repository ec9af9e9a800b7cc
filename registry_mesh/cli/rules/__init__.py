"""Commands for rules, and for what they bring and delete."""
