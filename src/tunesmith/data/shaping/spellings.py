"""How people spell the names of columns and speakers."""

from __future__ import annotations

import re
from functools import lru_cache

_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\s\-.]+")

ROLES: dict[str, tuple[str, ...]] = {
    "instruction": (
        "instruction", "instructions", "question", "query", "task", "prompt", "problem", "request", "user",
        "human", "user_message", "user_prompt", "user_query", "problem_statement", "questions",
    ),
    "input": (
        "input", "inputs", "context", "passage", "background", "knowledge", "schema", "sql_context",
        "document", "paragraph",
    ),
    "response": (
        "response", "output", "answer", "completion", "target", "reply", "outputs", "solution", "assistant",
        "bot", "model_response", "generated_solution", "canonical_solution", "ground_truth", "answers",
        "responses", "expected_output", "gold", "assistant_response", "correct_answer", "best_answer",
        "ideal", "sql", "code", "translation", "gpt", "assistant_message", "human_answer", "output_text",
    ),
    "prompt": ("prompt", "input", "source", "inputs", "input_text", "prefix"),
    "completion": ("completion", "output", "target", "canonical_solution", "targets", "suffix"),
    "text": ("text", "content", "story", "raw_text", "raw_content", "document", "body", "page_content"),
    "label": (
        "label_text", "label_name", "label_str", "label_description", "label", "labels", "class", "class_name",
        "classes", "intent", "sentiment", "emotion", "is_spam", "spam", "toxic", "gold_label", "stance",
    ),
    "messages": (
        "messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "items", "data",
        "utterances", "dialogues", "dialogs", "chats", "sharegpt", "contents", "multi_turn",
    ),
    "system": ("system", "system_prompt", "system_message", "system_instruction", "sys_prompt"),
    "history": ("history", "chat_history", "conversation_history", "past_turns"),
    "tools": ("tools", "functions", "available_tools", "function_definitions"),
    "chosen": (
        "chosen", "chosen_response", "response_chosen", "preferred", "accepted", "chosen_answer", "answer_chosen",
        "preferred_response", "better_response", "response_j",
    ),
    "rejected": (
        "rejected", "rejected_response", "response_rejected", "dispreferred", "rejected_answer",
        "answer_rejected", "dispreferred_response", "worse_response", "non_preferred", "response_k",
    ),
    "choices": ("choices", "options", "endings", "answer_choices"),
    "summary": ("summary", "highlights", "tldr", "tl;dr", "abstractive_summary"),
    "source": (
        "article", "document", "dialogue", "text", "content", "body", "report", "passage", "transcript", "story",
    ),
}  # fmt: skip
"""Role -> the names its column usually has, likeliest first."""

WEAK_LABELS = ("category", "topic", "target", "rating", "stars", "type", "tag", "subject", "department")
"""Names that are a label's only where their values look like labels."""

LABELLED_TEXTS = (
    "text", "sentence", "sentence1", "sentence2", "premise", "hypothesis", "text1", "text2", "question",
    "question1", "question2", "title", "headline", "content", "review", "tweet", "comment", "message", "sms",
    "utterance", "post", "body", "description", "document", "article", "email", "ticket", "statement", "claim",
    "query", "prompt", "passage", "context", "review_text", "review_body", "review_title", "abstract", "input",
)  # fmt: skip
"""What is labelled. Where a row has several of them, all belong to the prompt."""

ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "parts", "body")

SPEAKERS: dict[str, str] = {
    **dict.fromkeys(("system", "developer", "sys"), "system"),
    **dict.fromkeys(
        ("user", "human", "prompter", "customer", "client", "person", "questioner", "patient", "student", "q"), "user"
    ),
    **dict.fromkeys(
        (
            "assistant", "gpt", "gpt4", "gpt-4", "gpt-3.5", "chatgpt", "bot", "chatbot", "bing", "bard", "gemini",
            "claude", "model", "ai", "agent", "llm", "answerer", "doctor", "tutor", "a", "chat_bot",
        ),
        "assistant",
    ),
    **dict.fromkeys(
        ("tool", "function", "observation", "ipython", "tool_response", "function_response", "tool_result"), "tool"
    ),
    **dict.fromkeys(("function_call", "tool_call", "tool_calls", "function-call"), "call"),
}  # fmt: skip
"""Speaker -> role. "call" is an assistant whose content is a call."""

ASKED = ("user", "human", "input", "question", "prompt", "instruction", "query", "q")
ANSWERED = ("assistant", "gpt", "bot", "ai", "output", "answer", "response", "completion", "model", "a")
"""The keys of an object that holds a question with its answer."""


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A column's name without case and word separators: " User-Message " and "userMessage" are user_message."""
    return _SEPARATORS.sub("_", _CAMEL_HUMP.sub("_", name.strip().strip("\ufeff"))).casefold()


def speaker_of(name: str) -> str | None:
    """The role of a speaker, or None for somebody unheard of."""
    return SPEAKERS.get(name) or SPEAKERS.get(name.strip().casefold().replace(" ", "_"))
