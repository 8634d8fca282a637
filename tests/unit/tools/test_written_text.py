"""What generate_text says of answers in words."""

from __future__ import annotations

from tunesmith.schemas.enums import RunState
from tunesmith.schemas.evaluations import GenerateTextResult, Output
from tunesmith.tools.generate_text import describe


def test_an_empty_answer_is_told_as_such_and_not_as_an_empty_line() -> None:
    outputs = [
        Output(prompt=0, untrusted_text="", new_tokens=1, stopped="eos"),
        Output(prompt=1, untrusted_text=" \n", new_tokens=7, stopped="length"),
        Output(prompt=2, untrusted_text="green", new_tokens=2, stopped="eos"),
    ]
    result = GenerateTextResult(
        generation_id="gen-aaaaaaaaaaaaaaaa", state=RunState.SUCCEEDED, outputs=outputs, next=[]
    )
    lines = describe(result).splitlines()
    assert lines[1:] == [
        "[0] (empty answer: the model ended at once)",
        "[1] (empty answer: 7 tokens without a visible character)",
        "[2] (eos) green",
    ]
