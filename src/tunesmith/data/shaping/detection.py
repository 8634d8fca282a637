"""From a view of some rows to the shape that a person who trains on them would see in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from statistics import mean, median

from tunesmith.data.shaping.chats import ChatShape, HistoryShape, TreeShape
from tunesmith.data.shaping.choices import ChoicesShape
from tunesmith.data.shaping.pairs import PairShape, TemplateShape, TextShape
from tunesmith.data.shaping.preferences import JudgedShape, PreferenceShape, is_turn, truth_of
from tunesmith.data.shaping.shape import Shape
from tunesmith.data.shaping.spellings import LABELLED_TEXTS, ROLE_KEYS, ROLES, WEAK_LABELS, plain, speaker_of
from tunesmith.data.shaping.texts import Unfit
from tunesmith.data.shaping.turns import conversation_of
from tunesmith.data.shaping.view import View
from tunesmith.schemas.enums import DataFormat

LABEL_CHARACTERS = 40
"""A weakly named column whose values are longer on average is no label."""
LABELLED_CHARACTERS = 600
"""Beside a longer text, on the median, a weakly named column is a remark about it."""

_ANSWER_NAMES = tuple(name for name in ROLES["response"] if name not in WEAK_LABELS)
_VERDICTS = ("label", "kto_tag", "desirable", "is_desirable")
_CODE_AS_ANSWER = ("query", "sql_query", "code", "program")


def find_shape(view: View, wanted: DataFormat | None) -> Shape | None:
    """The shape of these rows, or None. `wanted` leaves only shapes of that format."""
    if wanted is None and is_single_turns(view):
        return None
    for finder in _FINDERS[wanted]:
        shape = finder(view)
        if shape is not None:
            return _as_wanted(shape, wanted)
    return None


def is_single_turns(view: View) -> bool:
    """Whether each row is one turn, whose conversation lies in other rows (as OpenAssistant's flat files have it)."""
    speaker = view.find_filled(ROLE_KEYS, "text")
    if speaker is None or view.find_filled(("text", "content", "value", "message"), "text") is None:
        return False
    if any(kind == "conversation" for kind in view.kinds.values()):
        return False
    speakers = [value for value in view.values(speaker) if isinstance(value, str)]
    return all(speaker_of(value) in ("system", "user", "assistant", "tool") for value in speakers)


def present(**roles: str | None) -> dict[str, str]:
    """Role -> column, without the roles that no column plays."""
    return {role: column for role, column in roles.items() if column is not None}


def _preference(view: View) -> Shape | None:
    chosen = view.find(ROLES["chosen"], "text", "number", "conversation", "object")
    rejected = view.find(ROLES["rejected"], "text", "number", "conversation", "object")
    if chosen is None or rejected is None:
        return None
    taken = {chosen, rejected}
    messages = view.find_filled(("conversations", "conversation"), "conversation", besides=taken)
    prompt = view.find_filled(ROLES["instruction"], "text", "conversation", besides=taken)
    if prompt is None:
        prompt = view.find_filled(("input",), "text", besides=taken)
    given = view.find(("input", "context"), besides={*taken, prompt or ""}) if prompt is not None else None
    if view.kinds[chosen] != "conversation" and prompt is None and messages is None:
        return None
    if view.kinds[chosen] == "object" and not all(is_turn(value) for value in view.values(chosen)):
        return None
    columns = present(
        prompt=prompt,
        input=given,
        system=_filled_system(view),
        messages=messages,
        chosen=chosen,
        rejected=rejected,
    )
    talks = any(view.kinds[column] == "conversation" for column in columns.values()) or "system" in columns
    return PreferenceShape(
        DataFormat.CHAT if talks else DataFormat.INSTRUCTION, columns, conversational=talks
    )


def _judged(view: View) -> Shape | None:
    """An answer beside a truth value, which is then no label but a verdict on it."""
    verdict = view.find_filled(_VERDICTS)
    if verdict is None or any(truth_of(value) is None for value in view.values(verdict)):
        return None
    rest = view.without(verdict)
    inner = _chat(rest) or _instruction(rest) or _pair(rest)
    return None if inner is None else JudgedShape(inner, verdict)


def _chat(view: View) -> Shape | None:
    """Messages in a column so called, else in the only column that holds some."""
    messages = view.find_filled(ROLES["messages"], "conversation", "list", "strings")
    if messages is not None and view.kinds[messages] != "conversation" and not _takes_turns(view, messages):
        messages = None
    if messages is None:
        holding = [column for column in view.columns if view.kinds[column] == "conversation"]
        asked = [column for column in holding if plain(column) in ("prompt", "instruction", "question")]
        messages = asked[0] if asked else holding[0] if len(holding) == 1 else None
    if messages is None:
        messages = next(
            (column for column in view.columns if plain(column) in ("messages", "conversations")), None
        )
        if messages is not None and view.kinds[messages] != "nothing":
            messages = None
    if messages is None:
        return None
    answer = view.find_filled(ROLES["response"], "text", "conversation", "object", besides={messages})
    if answer is not None and not _awaits_answer(view, messages):
        answer = None
    return ChatShape(
        present(messages=messages, response=answer, system=view.role("system"), tools=_tools(view, messages))
    )


def _awaits_answer(view: View, messages: str) -> bool:
    """Whether most conversations end before the assistant speaks."""
    open_ends = []
    for value in view.values(messages):
        with suppress(Unfit):
            last = conversation_of(value, []).messages[-1:]
            open_ends.append(not last or last[0].role != "assistant")
    return 2 * sum(open_ends) > len(open_ends)


def _takes_turns(view: View, column: str) -> bool:
    """Lists of at least two texts in turn, or of [question, answer] pairs."""
    values = view.values(column)
    if view.kinds[column] == "strings":
        return all(len(value) > 1 for value in values[:10]) and plain(column) not in ("items", "contents")
    return all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
        for value in values
        for pair in value
    )


def _tools(view: View, besides: str) -> str | None:
    return view.find(ROLES["tools"], "text", "list", "object", "strings", "conversation", besides={besides})


def _tree(view: View) -> Shape | None:
    """A row that is itself the first message of a reply tree."""
    if "replies" not in view.columns or not any(isinstance(row.get("replies"), list) for row in view.rows):
        return None
    text = view.find_filled(("text", "content"), "text")
    return None if text is None else TreeShape({"messages": text, "replies": "replies"})


def _history(view: View) -> Shape | None:
    history = view.find(ROLES["history"], "list", "conversation", "strings")
    if history is None:
        return None
    question = view.find_filled(ROLES["instruction"])
    answer = view.find_filled(ROLES["response"])
    if question is None or answer is None:
        return HistoryShape({"history": history}) if view.filled[history] else None
    given = view.role("input", besides={question, answer})
    return HistoryShape(
        present(
            history=history, instruction=question, input=given, response=answer, system=view.role("system")
        )
    )


def _instances(view: View) -> Shape | None:
    """Self-instruct's seeds: an instruction with a list of {input, output}, of which the first is taken."""
    instances = view.find_filled(("instances",), "list", "conversation")
    instruction = view.find_filled(("instruction",))
    if instances is None or instruction is None:
        return None
    first = next((value[0] for value in view.values(instances) if isinstance(value[0], dict)), {})
    if not {"input", "output"} <= first.keys():
        return None
    return PairShape(
        "instances",
        DataFormat.INSTRUCTION,
        {"instruction": instruction, "input": f"{instances}.0.input", "response": f"{instances}.0.output"},
    )


def _choices(view: View) -> Shape | None:
    choices = view.find_filled(ROLES["choices"], "strings", "object")
    question = view.find_filled(("question", "query", "problem", "ctx"))
    answer = view.find_filled(("answer", "answer_key", "label", "correct_answer", "answer_idx", "target"))
    if choices is None or question is None or answer is None:
        return None
    return ChoicesShape({"instruction": question, "choices": choices, "response": answer})


def _instruction(view: View) -> Shape | None:
    """An instruction or question with its response; None where prompt and completion are so called."""
    names = {plain(column) for column in view.columns}
    if "prompt" in names and names & {"completion", "canonical_solution"} and "instruction" not in names:
        return None
    question = view.find_filled(ROLES["instruction"]) or view.find_filled(("text", "title"))
    if question is None:
        return None
    return _answered(view, question, "instruction")


def _any_instruction(view: View) -> Shape | None:
    """The same where instructions were asked for: any prompt will do."""
    question = view.find(ROLES["instruction"]) or view.find((*ROLES["prompt"], *LABELLED_TEXTS))
    return None if question is None else _answered(view, question, "instruction")


def _answered(view: View, question: str, name: str) -> Shape | None:
    besides = {question}
    answer = view.find(ROLES["response"], "text", "number", "strings", "object", besides=besides)
    if (
        answer is not None
        and view.kinds[answer] in ("strings", "object")
        and not _lists_answers(view, answer)
    ):
        answer = None
    if answer is None:
        answer = view.find_filled(_CODE_AS_ANSWER, "text", besides=besides)
    if answer is None:
        return None
    besides.add(answer)
    tools = _tools(view, answer)
    system = _filled_system(view)
    is_chat = tools is not None or system is not None
    given = view.role("input", "text", "number", besides=besides)
    if plain(question) in ("question", "questions"):
        name = "question_answer"
    return PairShape(
        name,
        DataFormat.CHAT if is_chat else DataFormat.INSTRUCTION,
        present(instruction=question, input=given, response=answer, system=system, tools=tools),
        numeric=view.numeric(),
        several=view.kinds[answer] in ("strings", "object"),
        conversational=is_chat,
    )


def _lists_answers(view: View, column: str) -> bool:
    value = next(iter(view.values(column)), None)
    return isinstance(value, list) or (
        isinstance(value, dict) and isinstance(value.get("text", value.get("value")), list | str)
    )


def _filled_system(view: View) -> str | None:
    return view.find_filled(ROLES["system"], "text")


def _pair(view: View) -> Shape | None:
    """A prompt with its completion, as they are."""
    prompt = view.find(ROLES["prompt"])
    return None if prompt is None else _completed(view, prompt, ROLES["completion"])


def _any_pair(view: View) -> Shape | None:
    """The same where completions were asked for: any prompt with an answer will do."""
    prompt = view.find((*ROLES["prompt"], *ROLES["instruction"]))
    return None if prompt is None else _completed(view, prompt, (*ROLES["completion"], *ROLES["response"]))


def _completed(view: View, prompt: str, names: tuple[str, ...]) -> Shape | None:
    completion = view.find(names, besides={prompt})
    if completion is None:
        return None
    system = _filled_system(view)
    return PairShape(
        "prompt_completion",
        DataFormat.COMPLETION if system is None else DataFormat.CHAT,
        present(prompt=prompt, completion=completion, system=system),
        numeric=view.numeric(),
        conversational=system is not None,
    )


def _classification(view: View) -> Shape | None:
    """A label beside the text (or texts) that it is about."""
    label = view.find_filled(ROLES["label"], "text", "number", "strings", "list")
    weak = label is None
    if label is None:
        label = view.find_filled(WEAK_LABELS)
    if label is None or view.find_filled(_ANSWER_NAMES, besides={label}) is not None:
        return None
    if weak and _pair(view) is not None:
        return None
    by_name = {plain(column): column for column in view.columns if column != label}
    named = [by_name[name] for name in LABELLED_TEXTS if name in by_name]
    texts = [column for column in view.columns if column in named and view.kinds[column] == "text"]
    if not texts or (weak and not _is_label(view, label, texts)):
        return None
    return labelled(texts, label, view.numeric())


def labelled(texts: list[str], label: str, numeric: frozenset[str] = frozenset()) -> TemplateShape:
    """The shape of labelled texts: the text and a line break are the prompt, the label is the completion."""
    if len(texts) == 1:
        template = "{text}\n"
        placeholders = {"text": texts[0]}
    else:
        placeholders = {f"text_{place}": column for place, column in enumerate(texts, start=1)}
        template = "".join(f"{_braced(column)}: {{{name}}}\n" for name, column in placeholders.items())
    return TemplateShape(
        "classification",
        DataFormat.COMPLETION,
        {**placeholders, "label": label},
        template,
        placeholders,
        "label",
        needed=frozenset(texts) if len(texts) == 1 else frozenset(),
        blank="missing_field",
        numeric=numeric,
    )


def _braced(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")


def _is_label(view: View, label: str, texts: list[str]) -> bool:
    """Few different short values, beside texts that are no documents."""
    values = [str(value) for value in view.values(label)]
    if len(set(values)) > max(2, len(values) // 2) or mean(map(len, values)) > LABEL_CHARACTERS:
        return False
    return all(
        median(len(str(value)) for value in view.values(column)) <= LABELLED_CHARACTERS for column in texts
    )


def is_labelled_document(view: View) -> bool:
    """Whether a text and what might be its label can be read in two ways."""
    label = view.find_filled(WEAK_LABELS[:2])
    text = view.find_filled(("text", "content"), "text")
    if label is None or text is None or _classification(view) is not None:
        return False
    values = [str(value) for value in view.values(label)]
    return (
        len(values) > 2
        and len(set(values)) <= len(values) // 2
        and mean(map(len, values)) <= LABEL_CHARACTERS
    )


def _summary(view: View) -> Shape | None:
    summary = view.find_filled(ROLES["summary"], "text")
    source = view.find_filled(ROLES["source"], "text", besides={summary or ""})
    if summary is None or source is None:
        return None
    return TemplateShape(
        "summary",
        DataFormat.COMPLETION,
        {"text": source, "completion": summary},
        "{text}\n\nSummary:\n",
        {"text": source},
        "completion",
        needed=frozenset({source}),
    )


def _text(view: View) -> Shape | None:
    """Plain text in a column so called."""
    text = view.find_filled(ROLES["text"], "text", "conversation")
    return None if text is None or is_labelled_document(view) else TextShape({"text": text})


def only_column(view: View) -> Shape | None:
    """Plain text in the only column there is, unless its name says that it plays another part."""
    if len(view.columns) != 1 or view.kinds[view.columns[0]] != "text":
        return None
    name = plain(view.columns[0])
    if any(name in names for role, names in ROLES.items() if role not in ("text", "source")):
        return None
    return TextShape({"text": view.columns[0]})


def _as_wanted(shape: Shape, wanted: DataFormat | None) -> Shape:
    if wanted is DataFormat.CHAT:
        return as_conversations(shape)
    if wanted is not None and isinstance(shape, PairShape) and shape.conversational:
        return replace(shape, format=wanted, conversational=False)
    return shape


def as_conversations(shape: Shape) -> Shape:
    """The shape with its prompts and answers as conversations of two turns."""
    if isinstance(shape, JudgedShape):
        return replace(shape, inner=as_conversations(shape.inner))
    if isinstance(shape, PairShape | TemplateShape | PreferenceShape | ChoicesShape):
        return replace(shape, format=DataFormat.CHAT, conversational=True)
    return shape


Finder = Callable[[View], Shape | None]

_TALKS: tuple[Finder, ...] = (_preference, _judged, _tree, _instances, _chat, _history)
_FINDERS: Mapping[DataFormat | None, tuple[Finder, ...]] = {
    None: (
        *_TALKS,
        _choices,
        _summary,
        _classification,
        _instruction,
        _pair,
        _text,
    ),
    DataFormat.CHAT: (*_TALKS, _choices, _any_instruction, _any_pair, _classification, _summary),
    DataFormat.INSTRUCTION: (_preference, _instances, _choices, _any_instruction),
    DataFormat.COMPLETION: (_any_pair, _classification, _summary, _text),
}
"""In the order in which they are tried: what names more of a row's columns comes first."""
