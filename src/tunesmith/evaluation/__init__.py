"""What a model is worth: losses, answers, intervals and comparisons. Imported inside job processes only."""
