"""``POST /v1/completions``: a prompt instead of messages, answered by the same chat model.

The prompt becomes the user's message; with a ``suffix``, the model is asked for the text between the two. Chat models
answer a prompt instead of continuing it; the hosted endpoint does the same since its last completion models were
retired.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.chat import pipeline, response_translation
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.chat.request_translation import parse_request
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import chat
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.legacy import LegacyChoice, LegacyCompletion, LegacyLogprobs, LegacyRequest

D = TypeVar("D", chat.PromptTokensDetails, chat.CompletionTokensDetails)
_SUFFIX = (
    "Write only the text that belongs between BEGINNING and END.\n\nBEGINNING:\n{prompt}\n\nEND:\n{suffix}"
)


async def create(request: Request) -> Response:
    """``POST /v1/completions``."""
    return await pipeline.serve(_PIPELINE, request)


async def run_to_completion(
    completions: CompletionManager, service: Service, call: CallContext, raw: Mapping[str, object]
) -> Any:
    """See :func:`kodo.server.http.chat.pipeline.run_to_completion`."""
    return await pipeline.run_to_completion(_PIPELINE, completions, service, call, raw)


def parse_legacy_request(raw: Mapping[str, object]) -> LegacyRequest:
    """Check a body. Raises :class:`BadBody`."""
    prompt = raw.get("prompt")
    if isinstance(prompt, list) and any(not isinstance(one, str) for one in prompt):
        raise BadBody("Token arrays are not supported: send text.", "prompt", "unsupported_value")
    body: LegacyRequest = convert(dict(raw), LegacyRequest)
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise BadBody(
            "best_of must equal n: this server does not rank answers.", "best_of", "unsupported_value"
        )
    return body


def to_chat_requests(body: LegacyRequest) -> list[chat.ChatRequest]:
    """Translate a body to one chat request per prompt. Raises :class:`BadBody`."""
    options = {
        name: getattr(body, name)
        for name in ("model", "stream", "stream_options", "max_tokens", "temperature", "top_p", "presence_penalty",
                     "frequency_penalty", "logit_bias", "seed", "stop", "user", "n")
    }  # fmt: skip
    if body.logprobs is not None:
        options |= {"logprobs": True, "top_logprobs": body.logprobs}
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    texts = [
        prompt if not body.suffix else _SUFFIX.format(prompt=prompt, suffix=body.suffix) for prompt in prompts
    ]
    return [parse_request({**options, "messages": [{"role": "user", "content": text}]}) for text in texts]


def _echo(body: LegacyRequest, index: int) -> str:
    if not body.echo:
        return ""
    return body.prompt if isinstance(body.prompt, str) else body.prompt[index // (body.n or 1)]


async def _build(
    _completions: CompletionManager, _owner: str, body: LegacyRequest, runs: Sequence[Run]
) -> LegacyCompletion:
    """Build the completion: the choices of the first prompt, then those of the next."""
    choices = []
    for index, run in enumerate(runs):
        choice = response_translation.build_choice(index, run.response)
        echo = _echo(body, index)
        choices.append(
            LegacyChoice(
                index=index,
                text=echo + (choice.message.content or ""),
                logprobs=_logprobs(choice.logprobs, len(echo)),
                finish_reason=_finish_reason(choice.finish_reason),
            )
        )
    return _completion(body, runs, tuple(choices), _usage(body, runs))


def _finish_reason(
    reason: chat.FinishReason | None,
) -> Literal["stop", "length", "content_filter"] | None:
    """The reason of a chat answer in this API, which has no calls."""
    if reason == "length" or reason == "content_filter" or reason is None:
        return reason
    return "stop"


def _usage(body: LegacyRequest, runs: Sequence[Run]) -> chat.CompletionUsage:
    """Add up the usage: each prompt once, and all answers."""
    each = body.n or 1
    by_prompt = [
        response_translation.total_usage([run.response.usage for run in runs[place : place + each]])
        for place in range(0, len(runs), each)
    ]
    return chat.CompletionUsage(
        prompt_tokens=sum(one.prompt_tokens for one in by_prompt),
        completion_tokens=sum(one.completion_tokens for one in by_prompt),
        total_tokens=sum(one.total_tokens for one in by_prompt),
        prompt_tokens_details=_sum([one.prompt_tokens_details for one in by_prompt]),
        completion_tokens_details=_sum([one.completion_tokens_details for one in by_prompt]),
    )


def _sum(details: Sequence[D]) -> D:
    """The same details, each added up."""
    kind = type(details[0])
    return kind(**{name: sum(getattr(one, name) for one in details) for name in kind.__struct_fields__})


def _completion(
    body: LegacyRequest,
    runs: Sequence[Run],
    choices: tuple[LegacyChoice, ...],
    usage: chat.CompletionUsage | None,
    name: str | None = None,
) -> LegacyCompletion:
    return LegacyCompletion(
        id=name or f"cmpl-{secrets.token_hex(12)}",
        created=runs[0].response.created_at,
        model=body.model,
        choices=choices,
        usage=UNSET if usage is None else usage,
    )


def _logprobs(logprobs: chat.ChoiceLogprobs | None, offset: int) -> LegacyLogprobs | None:
    if logprobs is None:
        return None
    offsets = []
    for entry in logprobs.content:
        offsets.append(offset)
        offset += len(entry.token)
    return LegacyLogprobs(
        tokens=tuple(entry.token for entry in logprobs.content),
        token_logprobs=tuple(entry.logprob for entry in logprobs.content),
        top_logprobs=tuple(
            {top.token: top.logprob for top in entry.top_logprobs} for entry in logprobs.content
        ),
        text_offset=tuple(offsets),
    )


async def _stream(
    _completions: CompletionManager, _owner: str, body: LegacyRequest, runs: Sequence[Run]
) -> AsyncIterator[list[LegacyCompletion]]:
    name = f"cmpl-{secrets.token_hex(12)}"
    offsets = [0] * len(runs)
    """Characters of each answer so far."""
    for index in range(len(runs)):
        if echo := _echo(body, index):
            offsets[index] = len(echo)
            yield [_completion(body, runs, (LegacyChoice(index=index, text=echo),), None, name)]
    async for choices in pipeline.merge_chunks(runs):
        chunks = []
        for choice in choices:
            text = choice.delta.content or ""
            reason = _finish_reason(choice.finish_reason)
            if text or reason:
                delta_choice = LegacyChoice(
                    index=choice.index,
                    text=text,
                    logprobs=_logprobs(choice.logprobs, offsets[choice.index]),
                    finish_reason=reason,
                )
                offsets[choice.index] += len(text)
                chunks.append(_completion(body, runs, (delta_choice,), None, name))
        if chunks:
            yield chunks
    if (body.stream_options or {}).get("include_usage"):
        yield [_completion(body, runs, (), _usage(body, runs), name)]


_PIPELINE = pipeline.Pipeline(
    parse=parse_legacy_request, to_chat=to_chat_requests, build=_build, stream=_stream, input_field="prompt"
)
