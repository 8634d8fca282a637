"""The text that is put around an instruction. Standard library only: evaluation and generation use it too."""

from __future__ import annotations


def instruction_prompt(instruction: str, input: str = "") -> str:
    """The prompt of an instruction row, up to where the response starts.

    A blank `input` is left out together with its heading.
    """
    if not input.strip():
        return f"### Instruction\n{instruction}\n\n### Response\n"
    return f"### Instruction\n{instruction}\n\n### Input\n{input}\n\n### Response\n"
