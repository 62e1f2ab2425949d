"""How a network learns: the loop, and what `compile` prepares for it."""
