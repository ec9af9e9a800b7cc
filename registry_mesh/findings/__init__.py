"""What an operator should know of a node: decided from facts, without a clock and without a file."""
