"""What is checked before training."""
