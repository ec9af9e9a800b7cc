"""What a node's operator is shown of it: figures, findings, images."""
