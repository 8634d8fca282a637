"""What a run's figures mean and what to do about it: pure functions, metrics in, findings out."""
