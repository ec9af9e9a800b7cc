"""Where a node's content comes from and lies: parents, storage, repositories, and the role over them."""
