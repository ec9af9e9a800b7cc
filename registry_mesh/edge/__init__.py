"""The wall towards clients: HTTP in, ports out."""
