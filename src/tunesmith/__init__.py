"""Tunesmith: fine-tune a language model by talking to an assistant."""

__version__ = "0.1.0"
