"""The entry point of job processes: from a kind of work to the function that does it."""
