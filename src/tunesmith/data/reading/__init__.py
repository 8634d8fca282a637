"""From bytes to rows: what a source is, how it is recognised, and its rows as they stand there."""
