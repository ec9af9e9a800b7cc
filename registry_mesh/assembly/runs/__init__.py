"""Work that a node does again and again, or at a command: rules, collections, checks of what is stored."""
