"""What runs delete, here and at registries that are pushed to."""
