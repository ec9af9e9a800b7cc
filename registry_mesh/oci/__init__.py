"""The nouns of the OCI specifications. Nothing here knows a socket, a disk or a clock."""
