"""From a row as it stands in a source to a row to train on: which shape it has, and what each column says."""
