"""Commands that ask a running node, and what they show."""
