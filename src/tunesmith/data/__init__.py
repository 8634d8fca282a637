"""Sources, formats, basic quality checks and golden sets. Imported only inside job processes."""
