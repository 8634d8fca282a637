"""The quality report: what is wrong with rows, check by check, and what to do about it."""
