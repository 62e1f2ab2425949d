"""The uncrumple view: every layer's samples in two dimensions, and what a straight line finds in them."""
