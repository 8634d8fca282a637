"""Asking the person behind a client: by results that ask back in the 2026-07-28 protocol, by requests before it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least

from tunesmith.jobs import clock
from tunesmith.jobs.scrub import scrub, visible
from tunesmith.server.secrets import mask
from tunesmith.tools.asking import Person, Question

_ASKS_BACK_SINCE = "2026-07-28"
_AT_ONCE = 5
"""Questions in one result. What is answered is on record before the next ones are asked."""
_MOST_ROUNDS = 2
_PATIENCE_S = 300.0
_FIELD = "choice"
_KEY = re.compile(r"([0-9]{1,3}):(.+)")
"""A round and the key of a question."""
_CLIENT_CHARACTERS = 60


class AnswersNeeded(Exception):
    """The call ends here, and is made again by the client with answers. No failure: it has to reach the boundary."""

    def __init__(self, questions: dict[str, Question]) -> None:
        super().__init__()
        self.questions = questions

    def as_result(self) -> InputRequiredResult:
        """The result that asks back."""
        return InputRequiredResult(
            input_requests={
                key: ElicitRequest(
                    params=ElicitRequestFormParams(
                        message=_message(question), requested_schema=_form(question)
                    )
                )
                for key, question in self.questions.items()
            }
        )


def person_behind(context: Context[Any, Any]) -> Person | None:
    """Who may be asked; None where the client has no forms, or no way to be sent one."""
    capabilities = context.client_capabilities
    forms = None if capabilities is None else capabilities.elicitation
    if forms is None or (forms.form is None and forms.url is not None):
        return None
    version = context.protocol_version
    if version is not None and is_version_at_least(version, _ASKS_BACK_SINCE):
        return _AskedBack(context)
    return _AskedInMidCall(context) if context.session.can_send_request else None


def client_name(context: Context[Any, Any]) -> str | None:
    """What the client calls itself."""
    told = context.session.client_params
    return None if told is None else mask(scrub(told.client_info.name, _CLIENT_CHARACTERS))


class _AskedBack:
    """Answers come with the same call made again. A round's number stands in its keys: no state has to be kept, none
    runs out while somebody thinks, and a server that was started anew understands the answers too."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context

    async def ask(self, questions: Sequence[Question]) -> AsyncIterator[tuple[Question, str]]:
        given = self._context.input_responses or {}
        keys = {key: parts for key in given if (parts := _KEY.fullmatch(key)) is not None}
        answers = {parts[2]: given[key] for key, parts in keys.items()}
        rounds = max((int(parts[1]) for parts in keys.values()), default=0)
        declined = False
        for question in questions:
            if question.key in answers:
                option = _chosen(question, answers[question.key])
                declined = declined or option is None
                if option is not None:
                    yield question, option
        left = [question for question in questions if question.key not in answers][:_AT_ONCE]
        if left and not declined and rounds < _MOST_ROUNDS:
            raise AnswersNeeded({f"{rounds + 1}:{question.key}": question for question in left})


class _AskedInMidCall:
    """One request after the other while the call goes on."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context

    async def ask(self, questions: Sequence[Question]) -> AsyncIterator[tuple[Question, str]]:
        deadline = clock.boot_s() + _PATIENCE_S
        for question in questions:
            answer: ElicitResult | None = None
            with anyio.move_on_after(max(0.0, deadline - clock.boot_s())):
                answer = await self._send(question)
            option = _chosen(question, answer)
            if option is None:
                return
            yield question, option

    async def _send(self, question: Question) -> ElicitResult | None:
        try:
            answer: ElicitResult = await self._context.session.elicit_form(
                message=_message(question),
                requested_schema=_form(question),
                related_request_id=self._context.request_id,
            )
        except MCPError:  # it cannot or will not ask; what was answered so far stands
            return None
        return answer


def _message(question: Question) -> str:
    return mask(visible(question.text))


def _form(question: Question) -> dict[str, Any]:
    field = {"type": "string", "title": question.title, "enum": list(question.options)}
    return {"type": "object", "properties": {_FIELD: field}, "required": [_FIELD]}


def _chosen(question: Question, answer: Any) -> str | None:
    """The chosen option; None for whoever declined, cancelled or gave something else."""
    if not isinstance(answer, ElicitResult) or answer.action != "accept" or answer.content is None:
        return None
    option = answer.content.get(_FIELD)
    return option if isinstance(option, str) and option in question.options else None
