"""What `trace` and `step_through` share: watching calls, words for shapes, and the arithmetic of each layer."""
