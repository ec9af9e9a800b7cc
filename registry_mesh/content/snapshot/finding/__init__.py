"""What a source shows: tags, graphs, signatures, labels; asked so many at once."""
