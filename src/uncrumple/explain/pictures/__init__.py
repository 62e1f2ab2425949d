"""Pictures of what is inside a network, each with its finding in words and its numbers as data."""
