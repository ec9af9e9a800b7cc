"""Sockets: accepting connections and sending pieces and file slices."""
