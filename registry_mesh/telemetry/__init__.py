"""Names of metrics and spans, and the instruments that count."""
