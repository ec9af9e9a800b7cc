"""A node as processes: the service that runs them, its two halves, what a reload exchanges."""
