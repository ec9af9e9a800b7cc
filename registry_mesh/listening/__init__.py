"""Lets connections in, at whichever address."""
