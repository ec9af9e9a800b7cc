"""Tasks and threads: work shared, bounded and waited for. Knows nothing of registries."""
