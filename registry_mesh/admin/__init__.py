"""For operators' eyes: health, metrics and status, on a listener of their own."""
