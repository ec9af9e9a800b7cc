"""What `registry-mesh demo` is made of: an image of real files, a plain HTTP client, a tree of processes."""
