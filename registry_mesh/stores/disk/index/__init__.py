"""What a disk store remembers of its blobs beside their files: of use, sizes, names."""
