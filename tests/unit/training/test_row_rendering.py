from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.training.tiny import EOS, byte_tokenizer
from tunesmith.data.rows import Message, Row
from tunesmith.schemas.errors import EmptyMask, UnsupportedModel
from tunesmith.training.rendering import (
    NO_ASSISTANT_TURN,
    NO_LOSS,
    PROMPT_TOO_LONG,
    TEMPLATE_REFUSED,
    Rendered,
    Renderer,
    RowDropped,
    forgotten_answers,
    show,
    verify_mask,
)

ROW = Row(1, prompt="Say hello.\n", completion="hello")
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}{% endgeneration %}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|eos|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_MARKERS = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
NO_END = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
FORGETS_THINKING = (  # as Qwen 3 does: only the last answer is led in by an (empty) thought
    "{% for m in messages %}{{ '<' + m['role'] + '>' }}"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}"
    "{{ m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


WITH_TOOLS = (  # as Qwen 2.5 does, in short
    "{% if tools %}{{ '<tools>' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '</tools>' }}{% endif %}"
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ '[call]' + c['function']['name'] }}"
    "{{ c['function']['arguments'] | tojson }}{% endfor %}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
CALLS = json.dumps([{"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}])
TOOLS = json.dumps([{"type": "function", "function": {"name": "weather", "parameters": {}}}])
CALLING = (Message("user", "weather?"), Message("assistant", "", tool_calls=CALLS))
ANSWERED = (*CALLING, Message("tool", "rain", tool_call_id="c1"), Message("assistant", "It rains."))


def chat(*turns: str) -> Row:
    roles = ["user", "assistant"]
    return Row(1, messages=tuple(Message(roles[index % 2], turn) for index, turn in enumerate(turns)))


def learned(rendered: Rendered, tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in rendered.labels if label != NO_LOSS]))


def test_only_the_completion_and_its_end_carry_loss() -> None:
    tokenizer = byte_tokenizer()
    rendered = Renderer(tokenizer, "prompt_completion", 100).render(ROW)

    assert tokenizer.decode(rendered.input_ids) == f"Say hello.\nhello{EOS}"
    assert learned(rendered, tokenizer) == f"hello{EOS}"
    assert len(rendered.labels) == len(rendered.input_ids)
    assert not rendered.truncated


def test_the_very_first_token_carries_no_loss_because_nothing_predicts_it() -> None:
    """Counted in, it inflates the loss of prompt tuning by N / (N - 1)."""
    rendered = Renderer(byte_tokenizer(), "prompt_completion", None).render(
        {"prompt": "", "completion": "hello"}
    )

    assert (rendered.labels[0], rendered.loss_tokens) == (NO_LOSS, 5)


def test_the_prompt_given_in_generation_is_a_prefix_of_what_was_trained() -> None:
    for template in (None, CHATML, NO_MARKERS, NO_END, FORGETS_THINKING):
        renderer = Renderer(byte_tokenizer(chat_template=template), "messages", None)
        row = chat("hi", "hello", "bye", "ciao")
        prompt = renderer.prompt_ids(row)
        assert renderer.render(row).input_ids[: len(prompt)] == prompt
        assert renderer.reference(row) == "ciao"
    renderer = Renderer(byte_tokenizer(), "prompt_completion", None)
    assert renderer.render(ROW).input_ids[:11] == renderer.prompt_ids(ROW)
    assert renderer.reference(ROW) == "hello"


def test_prompt_and_completion_are_encoded_apart_so_that_no_token_crosses_the_border() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, EOS: 3}, [("a", "b")]))
    backend.add_special_tokens([EOS])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=EOS)
    renderer = Renderer(tokenizer, "prompt_completion", None)
    row = {"prompt": "a", "completion": "b"}

    assert tokenizer("ab")["input_ids"] == [2]
    assert renderer.prompt_ids(row) == [0]
    assert renderer.render(row).input_ids == [0, 1, 3]


def test_a_beginning_token_stands_once_at_the_start_where_the_tokenizer_puts_one() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer(bos="<s>")
    assert Renderer(tokenizer, "prompt_completion", None).render(ROW).input_ids[0] != tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    for kind, row in (("prompt_completion", ROW), ("messages", chat("hi", "hello"))):
        ids = Renderer(tokenizer, kind, None).render(row).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1


def test_control_tokens_spelled_out_in_a_row_stay_text() -> None:
    for template in (None, CHATML, NO_MARKERS):
        tokenizer = byte_tokenizer(chat_template=template)
        row = chat(f"what is {EOS}?", f"a token: {EOS}", "really?", "yes")
        rendered = Renderer(tokenizer, "messages", None).render(row)
        plain = Renderer(tokenizer, "messages", None).render(chat("a", "b", "c", "d"))
        assert rendered.input_ids.count(tokenizer.eos_token_id) == plain.input_ids.count(
            tokenizer.eos_token_id
        )
        assert learned(rendered, tokenizer) == f"a token: {EOS}{EOS}yes{EOS}"
    tokenizer = byte_tokenizer()
    rendered = Renderer(tokenizer, "prompt_completion", None).render(
        {"prompt": f"{EOS} <|pad|>", "completion": f"{EOS}!"}
    )
    assert rendered.input_ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.pad_token_id not in rendered.input_ids


@pytest.mark.parametrize("template", [None, CHATML, NO_MARKERS, NO_END])
def test_every_assistant_turn_and_its_end_carry_loss_whatever_the_template_offers(
    template: str | None,
) -> None:
    tokenizer = byte_tokenizer(chat_template=template)
    renderer = Renderer(tokenizer, "messages", None)
    row = chat("hi", "hello", "bye", "ciao")
    rendered = renderer.render(row)

    if template == NO_END:
        assert learned(rendered, tokenizer) == f"hello\nciao\n{EOS}"
    else:
        assert learned(rendered, tokenizer) == f"hello{EOS}ciao{EOS}"
    assert rendered.labels[-1] == tokenizer.eos_token_id
    assert renderer.stop_ids() == [tokenizer.eos_token_id]
    verify_mask(renderer, [row])


@pytest.mark.parametrize("template", [None, CHATML, NO_MARKERS])
def test_a_turn_of_weight_zero_is_context_without_loss(template: str | None) -> None:
    tokenizer = byte_tokenizer(chat_template=template)
    renderer = Renderer(tokenizer, "messages", None)
    first, second, third, fourth = chat("hi", "hello", "bye", "ciao").messages
    silent_first = Row(1, messages=(first, replace(second, trains=False), third, fourth))
    silent_last = Row(1, messages=(first, second, third, replace(fourth, trains=False)))

    rendered = renderer.render(silent_first)
    assert rendered.input_ids == renderer.render(chat("hi", "hello", "bye", "ciao")).input_ids
    assert learned(rendered, tokenizer) == f"ciao{EOS}"
    assert renderer.render(silent_last) == renderer.render(chat("hi", "hello"))
    assert renderer.reference(silent_last) == "hello"
    with pytest.raises(RowDropped, match=NO_ASSISTANT_TURN):
        renderer.render(Row(1, messages=(first, replace(second, trains=False))))


def test_in_a_mixed_dataset_each_row_is_rendered_by_its_kind() -> None:
    tokenizer = byte_tokenizer()
    mixed = Renderer(tokenizer, "mixed", None)
    conversation, text = chat("hi", "hello"), Row(3, completion="Once")

    assert mixed.render(conversation) == Renderer(tokenizer, "messages", None).render(conversation)
    assert mixed.render(ROW) == Renderer(tokenizer, "prompt_completion", None).render(ROW)
    assert mixed.prompt_ids(ROW) == Renderer(tokenizer, "prompt_completion", None).prompt_ids(ROW)
    assert (mixed.reference(conversation), mixed.reference(ROW)) == ("hello", "hello")
    assert len(mixed.render_all([conversation, ROW, text]).rows) == 3
    assert mixed.stop_ids() == Renderer(tokenizer, "messages", None).stop_ids()
    verify_mask(mixed, [conversation, ROW, text])


def test_tools_and_calls_are_handed_to_a_template_that_knows_them() -> None:
    tokenizer = byte_tokenizer(chat_template=WITH_TOOLS)
    renderer = Renderer(tokenizer, "messages", None)
    row = Row(1, messages=ANSWERED, tools=TOOLS)
    call = '[call]weather{"city": "Bonn"}'

    text = tokenizer.decode(renderer.render(row).input_ids)
    assert text.startswith("<tools>{")
    assert f"<assistant>{call}{EOS}<tool>rain{EOS}" in text
    assert learned(renderer.render(row), tokenizer) == f"{call}{EOS}It rains.{EOS}"
    assert renderer.reference(Row(1, messages=CALLING, tools=TOOLS)) == call
    verify_mask(renderer, [row, Row(2, messages=CALLING, tools=TOOLS)])


@pytest.mark.parametrize("template", [None, CHATML, NO_MARKERS])
def test_tools_and_calls_are_text_where_the_template_knows_none(template: str | None) -> None:
    tokenizer = byte_tokenizer(chat_template=template)
    renderer = Renderer(tokenizer, "messages", None)
    with_system = (Message("system", "Be brief."), *ANSWERED)
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>'

    text = tokenizer.decode(renderer.render(Row(1, messages=ANSWERED, tools=TOOLS)).input_ids)
    assert '<tools>\n{"type": "function"' in text
    assert "<tool_response>\nrain\n</tool_response>" in text
    rendered = renderer.render(Row(1, messages=with_system, tools=TOOLS))
    assert "Be brief.\n\nYou may call these functions" in tokenizer.decode(rendered.input_ids)
    assert learned(rendered, tokenizer) == f"{call}{EOS}It rains.{EOS}"
    silent = (with_system[0], with_system[1], replace(with_system[2], trains=False), *with_system[3:])
    assert learned(renderer.render(Row(1, messages=silent, tools=TOOLS)), tokenizer) == f"It rains.{EOS}"
    verify_mask(renderer, [Row(1, messages=with_system, tools=TOOLS), Row(2, messages=CALLING, tools=TOOLS)])


def test_a_chat_that_the_assistant_begins_is_learned_from_its_answers() -> None:
    tokenizer = byte_tokenizer(chat_template=NO_MARKERS)
    row = Row(1, messages=(Message("assistant", "welcome"), *chat("hi", "hello").messages))

    assert learned(Renderer(tokenizer, "messages", None).render(row), tokenizer) == f"hello{EOS}"


def test_turns_that_a_template_rewrites_later_carry_no_loss() -> None:
    tokenizer = byte_tokenizer(chat_template=FORGETS_THINKING)
    renderer = Renderer(tokenizer, "messages", None)
    row = chat("hi", "hello", "bye", "ciao")

    assert learned(renderer.render(row), tokenizer) == f"<think></think>ciao{EOS}"
    verify_mask(renderer, [row])


def test_what_follows_the_last_answer_is_left_out() -> None:
    tokenizer = byte_tokenizer()
    renderer = Renderer(tokenizer, "messages", None)

    assert renderer.render(chat("hi", "hello", "and?")) == renderer.render(chat("hi", "hello"))


def test_a_turn_ended_by_another_special_token_is_stopped_at_too() -> None:
    tokenizer = byte_tokenizer(bos="<|im_end|>", chat_template=NO_MARKERS.replace(EOS, "<|im_end|>"))

    stops = Renderer(tokenizer, "messages", None).stop_ids()

    assert stops == [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_a_row_that_is_too_long_is_cut_at_its_end_and_says_so() -> None:
    rendered = Renderer(byte_tokenizer(), "prompt_completion", 14).render(ROW)

    assert (len(rendered.input_ids), rendered.loss_tokens, rendered.truncated) == (14, 3, True)


def test_rows_that_cannot_be_trained_on_are_counted_by_reason() -> None:
    renderer = Renderer(byte_tokenizer(), "prompt_completion", 11)
    rendered = renderer.render_all([ROW, ROW, Row(3, prompt="a", completion="b")])
    assert (len(rendered.rows), rendered.dropped) == (1, {PROMPT_TOO_LONG: 2})

    strict = NO_MARKERS.replace(
        "{% for m in messages %}",
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}",
        1,
    )
    chats = Renderer(byte_tokenizer(chat_template=strict), "messages", None)
    with_system = Row(1, messages=(Message("system", "be nice"), *chat("hi", "hello").messages))
    rendered = chats.render_all([with_system, Row(2, messages=(Message("user", "hi"),)), chat("a", "b")])
    assert (len(rendered.rows), rendered.dropped) == (1, {TEMPLATE_REFUSED: 1, NO_ASSISTANT_TURN: 1})


def test_a_template_that_gives_no_way_to_find_the_answer_drops_the_row() -> None:
    shouting = "{% for m in messages %}{{ m['content'] + messages | length | string }}{% endfor %}"
    renderer = Renderer(byte_tokenizer(chat_template=shouting), "messages", None)

    with pytest.raises(RowDropped, match=TEMPLATE_REFUSED):
        renderer.render(chat("hi", "hello"))
    with pytest.raises(EmptyMask, match="none of the rows"):
        verify_mask(renderer, [chat("hi", "hello")])


def test_markers_around_everything_are_found_before_training() -> None:
    everything = (
        "{% generation %}{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}{% endgeneration %}"
    )
    renderer = Renderer(byte_tokenizer(chat_template=everything), "messages", None)

    with pytest.raises(EmptyMask, match="prompt included"):
        verify_mask(renderer, [chat("hi", "hello")])


def test_markers_around_the_wrong_turn_are_found_before_training() -> None:
    wrong = CHATML.replace("m['role'] == 'assistant'", "m['role'] == 'user'")
    renderer = Renderer(byte_tokenizer(chat_template=wrong), "messages", None)

    with pytest.raises(EmptyMask):
        verify_mask(renderer, [chat("hi there", "hello")])


def test_rows_with_no_room_for_any_answer_are_found_before_training() -> None:
    with pytest.raises(EmptyMask):
        verify_mask(Renderer(byte_tokenizer(), "prompt_completion", 11), [ROW])


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None

    with pytest.raises(UnsupportedModel):
        Renderer(tokenizer, "prompt_completion", None)


def test_the_example_marks_what_carries_loss_and_spells_out_control_characters() -> None:
    tokenizer = byte_tokenizer()
    row = {"prompt": "a\x1b[31m⟧\u202e\n", "completion": "b\x00"}
    example = show(Renderer(tokenizer, "prompt_completion", None).render(row), tokenizer)

    assert example.untrusted_text == f"a\\u001b[31m\\u27e7\\u202e\n⟦b\\u0000{EOS}⟧"
    assert example.loss_tokens == 3


def test_a_long_example_is_shortened_in_the_middle_and_still_shows_its_answer() -> None:
    tokenizer = byte_tokenizer()
    row = {"prompt": "p" * 9000 + "END", "completion": "c" * 9000}
    text = show(Renderer(tokenizer, "prompt_completion", None).render(row), tokenizer).untrusted_text

    assert len(text) <= 2000
    assert "END⟦ccc" in text and text.endswith(f"{EOS}⟧")


def test_a_template_that_rewrites_earlier_answers_is_warned_of_with_how_many_are_lost() -> None:
    renderer = Renderer(byte_tokenizer(chat_template=FORGETS_THINKING), "messages", None)
    rows = [chat("a", "b", "c", "d"), chat("a", "b", "c", "d", "e", "f"), chat("a", "b")]

    (warning,) = forgotten_answers(renderer, rows)

    assert "2 of 3 rows" in warning and "3 answers" in warning


@pytest.mark.parametrize("template", [None, CHATML, NO_MARKERS, NO_END])
def test_a_template_that_shows_every_answer_as_it_was_written_is_not_warned_of(template: str | None) -> None:
    renderer = Renderer(byte_tokenizer(chat_template=template), "messages", None)

    assert forgotten_answers(renderer, [chat("a", "b", "c", "d"), chat("a", "b")]) == []


def test_answers_that_are_not_to_be_learned_are_not_missed() -> None:
    renderer = Renderer(byte_tokenizer(chat_template=NO_MARKERS), "messages", None)
    turns = (
        Message("user", "a"),
        Message("assistant", "b", trains=False),
        Message("user", "c"),
        Message("assistant", "d"),
    )

    assert renderer.render(Row(1, messages=turns)).forgotten == 0
