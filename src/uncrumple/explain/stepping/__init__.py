"""One forward and backward pass, step by step: prediction, cost, chain rule, update."""
