"""What helps against overfitting, compared."""
