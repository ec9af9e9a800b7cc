"""What is held, image by image: looked at, pinned, evicted, brought ahead of time."""
