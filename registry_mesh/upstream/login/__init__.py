"""How a node logs in at its parents: credentials, tokens, token services."""
