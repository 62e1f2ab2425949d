"""The loss as a landscape over the weights, and optimizers on it."""
