"""What runs keep in records between them."""
