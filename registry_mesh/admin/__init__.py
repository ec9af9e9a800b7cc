"""The wall towards operators: health, metrics, status."""
