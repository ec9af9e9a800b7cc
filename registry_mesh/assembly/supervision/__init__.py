"""The processes of a node and what they share: forked, watched, replaced, told of each other."""
