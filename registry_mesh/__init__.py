"""A hierarchical cache network of OCI registries: origin, replicas and sites."""

__version__ = "0.1.0"
