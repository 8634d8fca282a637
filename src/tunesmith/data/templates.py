"""The text that is put around an instruction. Standard library only: evaluation and generation use it too."""

from __future__ import annotations


def instruction_prompt(instruction: str, input: str = "", system: str = "") -> str:
    """The prompt of an instruction row, up to where the response starts.

    A blank `input` is left out together with its heading; a `system` prompt stands before everything.
    """
    lead = f"{system}\n\n" if system else ""
    if not input or input.isspace():
        return f"{lead}### Instruction\n{instruction}\n\n### Response\n"
    return f"{lead}### Instruction\n{instruction}\n\n### Input\n{input}\n\n### Response\n"


def asked(instruction: str, input: str = "") -> str:
    """The same as a user's message, where a chat template stands around it."""
    return f"{instruction}\n\n{input}" if input and not input.isspace() else instruction
