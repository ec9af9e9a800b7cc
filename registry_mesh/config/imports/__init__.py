"""Rule files of other tools, read as rules: one file a tool. An entry is carried whole, or refused whole."""
