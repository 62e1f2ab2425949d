"""From whatever a user has to checked batches of tensors; and named data sets, splits and scaling."""
