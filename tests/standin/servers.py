"""How each server behaves: what it takes, what it refuses and how, and the form of its answers.

One table a server, written from its documentation and from public reports (see docs/guides/upstream.md); none of these
servers was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.standin.model import Turn

WINDOW = 4096
COMMON = {
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "tools", "tool_choice"),
    *("response_format", "stop", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
}
Chunk = dict[str, Any] | str
"""A chunk, or a line that is sent as it is."""


@dataclass(eq=False)
class Refused(Exception):
    """A refusal."""

    status: int
    body: Any


def openai_error(message: str, code: Any = None, param: str | None = None, **more: Any) -> dict[str, Any]:
    """OpenAI's envelope."""
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code, **more}
    }


def pieces(text: str, size: int = 9) -> list[str]:
    """A text in deltas."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def chunk(delta: dict[str, Any] | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as most servers have it."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **more}


def usage_openai(cached: int = 4) -> dict[str, Any]:
    """Token counts under OpenAI's names."""
    return {
        "prompt_tokens": 30,
        "completion_tokens": 12,
        "total_tokens": 42,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


@dataclass(frozen=True)
class Behaviour:
    """One server."""

    name: str
    stream: Callable[[Turn], Iterator[Chunk]]
    fields: frozenset[str]
    """What it takes in a body; anything else is refused."""
    owned_by: str = ""
    overflow: tuple[int, Any] = (400, None)
    check: Callable[[dict[str, Any]], None] = lambda body: None
    one_system: bool = False
    """Whether a second system message is refused, as by the templates of Qwen3.5."""
    images: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    needs_header: str = "authorization"
    model_fields: dict[str, Any] = field(default_factory=dict)
    tokenize: str = ""
    cached: int = 4


def _calls(turn: Turn, *, index: Callable[[int], int | None], split: bool = True, ids: str = "call_%024d") -> Iterator[dict[str, Any]]:  # fmt: skip
    for number, (name, arguments) in enumerate(turn.calls):
        text = json.dumps(arguments) if arguments else "{}"
        where = {} if index(number) is None else {"index": index(number)}
        head = {**where, "id": ids % number, "type": "function", "function": {"name": name, "arguments": ""}}
        if not split:
            head["function"] = {"name": name, "arguments": text}
            yield {"tool_calls": [head]}
            continue
        yield {"tool_calls": [head]}
        for piece in pieces(text, 7):
            yield {"tool_calls": [{**where, "function": {"arguments": piece}}]}


def _reason(turn: Turn) -> str:
    return "tool_calls" if turn.calls else "stop"


def _check_effort(body: dict[str, Any], *known: str) -> None:
    """Refuse an effort that is none of these."""
    effort = body.get("reasoning_effort", known[0])
    if effort not in known:
        raise Refused(400, openai_error(f"invalid reasoning value: {effort!r} (must be one of {known})"))


# --- vLLM -------------------------------------------------------------------------------------------------------------


def _vllm(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(turn.reasoning):
        yield chunk({"reasoning": piece})
    for piece in pieces(turn.text):
        yield chunk({"content": piece})
    # the deltas of calls take turns: 0, 1, 0, 1
    calls = [list(_calls(Turn(calls=(call,)), index=lambda _: 0)) for call in turn.calls]
    for step in range(max((len(parts) for parts in calls), default=0)):
        for number, parts in enumerate(calls):
            if step < len(parts):
                part = dict(parts[step]["tool_calls"][0], index=number)
                if "id" in part:
                    part["id"] = f"chatcmpl-tool-{number:032d}"
                yield chunk({"tool_calls": [part]})
    yield chunk({}, _reason(turn))
    yield {"choices": [], "usage": usage_openai()}
    yield "data: [DONE]"


VLLM = Behaviour(
    name="vllm",
    stream=_vllm,
    fields=frozenset(COMMON | {"max_tokens", "parallel_tool_calls", "logit_bias", "reasoning_effort"}),
    owned_by="vllm",
    one_system=True,
    overflow=(
        400,
        {
            "object": "error",
            "message": f"This model's maximum context length is {WINDOW} tokens. However, you requested 5000 tokens "
            "(4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    model_fields={"max_model_len": WINDOW},
    tokenize="vllm",
)

# --- SGLang -----------------------------------------------------------------------------------------------------------


def _sglang(turn: Turn) -> Iterator[Chunk]:
    empty = {"content": None, "reasoning_content": None, "tool_calls": None}
    yield chunk({"role": "assistant", **empty})
    for piece in pieces(turn.reasoning):
        yield chunk({**empty, "reasoning_content": piece}, usage=None)
    for piece in pieces(turn.text):
        yield chunk({**empty, "content": piece}, usage=None)
    for delta in _calls(turn, index=lambda number: number):
        yield chunk({**empty, **delta}, usage=None)
    yield chunk(None, _reason(turn))
    yield {
        "choices": [],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 12,
            "reasoning_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
    yield "data: [DONE]"


SGLANG = Behaviour(
    name="sglang",
    stream=_sglang,
    fields=frozenset(COMMON | {"max_tokens", "parallel_tool_calls", "logit_bias", "reasoning_effort"}),
    owned_by="sglang",
    overflow=(
        400,
        {
            "object": "error",
            "message": f"The input (5000 tokens) is longer than the model's context length ({WINDOW} tokens).",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    model_fields={"max_model_len": WINDOW},
    tokenize="sglang",
)

# --- llama.cpp --------------------------------------------------------------------------------------------------------


def _llamacpp(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant", "content": None})
    for piece in pieces(turn.reasoning):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(turn.text):
        yield chunk({"content": piece})
    for delta in _calls(turn, index=lambda number: number):
        yield chunk(delta)
    yield chunk({}, _reason(turn))
    timings = {"cache_n": 4, "prompt_n": 26, "predicted_n": 12}
    yield {"choices": [], "usage": usage_openai(), "timings": timings}
    yield "data: [DONE]"


LLAMACPP = Behaviour(
    name="llamacpp",
    stream=_llamacpp,
    fields=frozenset(COMMON | {"max_tokens", "parallel_tool_calls", "logit_bias", "chat_template_kwargs"}),
    owned_by="llamacpp",
    one_system=True,
    headers={"server": "llama.cpp"},
    overflow=(
        400,
        {
            "error": {
                "code": 400,
                "message": f"request (5000 tokens) exceeds the available context size ({WINDOW} tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5000,
                "n_ctx": WINDOW,
            }
        },
    ),
    model_fields={"meta": {"n_ctx_train": 32768}},
    tokenize="llamacpp",
)

# --- Ollama -----------------------------------------------------------------------------------------------------------


def _ollama(turn: Turn) -> Iterator[Chunk]:
    for piece in pieces(turn.reasoning):
        yield chunk({"role": "assistant", "content": "", "reasoning": piece})
    for piece in pieces(turn.text):
        yield chunk({"role": "assistant", "content": piece})
    for delta in _calls(turn, index=lambda _: 0, split=False):  # each call whole, all with index 0
        yield chunk({"role": "assistant", "content": "", **delta})
    yield chunk({"role": "assistant", "content": ""}, _reason(turn))
    yield {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}}
    yield "data: [DONE]"


OLLAMA = Behaviour(
    name="ollama",
    stream=_ollama,
    check=lambda body: _check_effort(body, "none", "low", "medium", "high", "max"),
    fields=frozenset(COMMON | {"max_tokens", "reasoning_effort"}),
    owned_by="library",
    one_system=True,
    overflow=(400, {"error": {"message": "input length exceeds the context length", "type": "api_error"}}),
    cached=0,
)

# --- LM Studio --------------------------------------------------------------------------------------------------------


def _lmstudio(turn: Turn) -> Iterator[Chunk]:
    text = f"<think>\n{turn.reasoning}\n</think>\n\n{turn.text}" if turn.reasoning else turn.text
    for piece in pieces(text, 5):
        yield chunk({"role": "assistant", "content": piece})
    for delta in _calls(turn, index=lambda _: None):
        yield chunk(delta)
    yield chunk({}, _reason(turn))
    yield {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}}
    yield "data: [DONE]"


def _lmstudio_check(body: dict[str, Any]) -> None:
    _check_effort(body, "none", "low", "medium", "high", "xhigh")
    if isinstance(body.get("tool_choice"), dict):
        words = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
        raise Refused(400, {"error": words})
    if body.get("response_format", {}).get("type") == "json_object":
        raise Refused(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})


LMSTUDIO = Behaviour(
    name="lmstudio",
    stream=_lmstudio,
    check=_lmstudio_check,
    fields=frozenset(COMMON | {"max_tokens", "logit_bias", "reasoning_effort"}),
    owned_by="organization_owner",
    one_system=True,
    overflow=(
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
            f"with context length of only {WINDOW} tokens, which is not enough."
        },
    ),
    cached=0,
)

# --- OpenRouter -------------------------------------------------------------------------------------------------------


def _openrouter(turn: Turn) -> Iterator[Chunk]:
    yield ": OPENROUTER PROCESSING"
    for piece in pieces(turn.reasoning):
        detail = {"type": "reasoning.text", "index": 0, "format": "unknown", "text": piece}
        yield chunk({"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": [detail]})
    if turn.reasoning:
        signed = {"type": "reasoning.text", "index": 0, "signature": "signed:" + turn.reasoning}
        yield chunk({"content": "", "reasoning_details": [signed]})
    for piece in pieces(turn.text):
        yield chunk({"content": piece})
    for delta in _calls(turn, index=lambda number: number):
        yield chunk(delta)
    yield chunk({"content": ""}, _reason(turn), native_finish_reason="end_turn")
    yield {"choices": [], "usage": {**usage_openai(), "cost": 0.0001}}
    yield "data: [DONE]"


def _openrouter_check(body: dict[str, Any]) -> None:
    for message in body["messages"]:
        if message.get("tool_calls"):
            details = message.get("reasoning_details") or [{}]
            if details[0].get("signature") != "signed:" + str(details[0].get("text")):
                raise Refused(400, openai_error("Provider returned error", 400, metadata={"raw": "the thinking block has no signature"}))  # fmt: skip


OPENROUTER = Behaviour(
    name="openrouter",
    stream=_openrouter,
    fields=frozenset(COMMON | {"max_tokens", "parallel_tool_calls", "logit_bias", "reasoning", "verbosity"}),
    overflow=(
        400,
        openai_error(
            f"This endpoint's maximum context length is {WINDOW} tokens. However, you requested about 5000 tokens "
            "(4900 of text input, 100 in the output).",
            400,
        ),
    ),
    check=_openrouter_check,
)

# --- OpenAI and Azure -------------------------------------------------------------------------------------------------


def _openai(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant", "content": None, "refusal": None}, usage=None, obfuscation="x9")
    for piece in pieces(turn.text):
        yield chunk({"content": piece}, usage=None)
    for delta in _calls(turn, index=lambda number: number):
        yield chunk(delta, usage=None)
    yield chunk({}, _reason(turn), usage=None)
    yield {"choices": [], "usage": usage_openai()}
    yield "data: [DONE]"


def _openai_check(body: dict[str, Any]) -> None:
    if "max_tokens" in body:
        raise Refused(
            400,
            openai_error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                "unsupported_parameter",
                "max_tokens",
            ),
        )
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            if len(call["id"]) > 40:
                raise Refused(400, openai_error("string too long", "string_above_max_length", "messages"))
        if "reasoning_content" in message:
            raise Refused(400, openai_error("Unknown field 'reasoning_content'", "unknown_parameter"))


_OPENAI_FIELDS = frozenset(
    COMMON
    | {
        "max_completion_tokens",
        "parallel_tool_calls",
        "logit_bias",
        "reasoning_effort",
        "verbosity",
        "prompt_cache_key",
    }
)
_OPENAI_OVERFLOW = (
    400,
    openai_error(
        f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in 5000 tokens. "
        "Please reduce the length of the messages.",
        "context_length_exceeded",
        "messages",
    ),
)
OPENAI = Behaviour(
    name="openai", stream=_openai, fields=_OPENAI_FIELDS, overflow=_OPENAI_OVERFLOW, check=_openai_check
)


def _azure(turn: Turn) -> Iterator[Chunk]:
    yield {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    yield from _openai(turn)


AZURE = Behaviour(
    name="azure",
    stream=_azure,
    fields=_OPENAI_FIELDS,
    overflow=_OPENAI_OVERFLOW,
    check=_openai_check,
    needs_header="api-key",
)

# --- DeepSeek ---------------------------------------------------------------------------------------------------------


def _deepseek(turn: Turn) -> Iterator[Chunk]:
    for piece in pieces(turn.reasoning):
        yield chunk({"role": "assistant", "content": None, "reasoning_content": piece})
    for piece in pieces(turn.text):
        yield chunk({"content": piece, "reasoning_content": None})
    for delta in _calls(turn, index=lambda number: number, ids="call_00_%022d"):
        yield chunk({"content": None, "reasoning_content": None, **delta})
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 12,
        "prompt_cache_hit_tokens": 4,
        "prompt_cache_miss_tokens": 26,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    yield chunk({"content": ""}, _reason(turn), usage=usage)
    yield "data: [DONE]"


def _deepseek_check(body: dict[str, Any]) -> None:
    _check_effort(body, "minimal", "low", "medium", "high", "xhigh", "max")
    for message in body["messages"]:
        if message.get("tool_calls") and "reasoning_content" not in message:
            raise Refused(
                400,
                openai_error(
                    "The reasoning_content in the thinking mode must be passed back to the API.",
                    "invalid_request_error",
                ),
            )


DEEPSEEK = Behaviour(
    name="deepseek",
    stream=_deepseek,
    fields=frozenset((COMMON | {"max_tokens", "reasoning_effort", "thinking"}) - {"seed"}),
    overflow=(
        400,
        openai_error(
            f"This model's maximum context length is {WINDOW} tokens. However, you requested 5000 tokens (4900 in the "
            "messages, 100 in the completion).",
            "invalid_request_error",
        ),
    ),
    check=_deepseek_check,
    images=False,
)

# --- Mistral ----------------------------------------------------------------------------------------------------------


def _mistral(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(turn.reasoning):
        yield chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]})
    for piece in pieces(turn.text):
        yield chunk({"content": [{"type": "text", "text": piece}]})
    calls = [
        {
            "id": f"mist0000{number}",
            "index": number,
            "function": {"name": name, "arguments": arguments if number else json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(turn.calls)
    ]
    usage = {"prompt_tokens": 30, "completion_tokens": 12, "num_cached_tokens": 4}
    yield chunk({"content": "", "tool_calls": calls or None}, _reason(turn), usage=usage)
    yield "data: [DONE]"


def _mistral_check(body: dict[str, Any]) -> None:
    _check_effort(body, "none", "high")
    before = ""
    for message in body["messages"]:
        if (before, message["role"]) == ("tool", "user"):
            words = "Unexpected role 'user' after role 'tool'"
            raise Refused(400, {"object": "error", "message": words, "type": "invalid_request_message_order", "code": "3230"})  # fmt: skip
        before = message["role"]
        ids = [call["id"] for call in message.get("tool_calls") or ()] + [
            message.get("tool_call_id", "000000000")
        ]
        for id_ in ids:
            if len(id_) != 9 or not id_.isalnum():
                raise Refused(
                    400,
                    {
                        "object": "error",
                        "message": f"Tool call id was {id_} but must be a-z, A-Z, 0-9, with a length of 9.",
                        "type": "invalid_request_error",
                        "code": "3280",
                    },
                )


MISTRAL = Behaviour(
    name="mistral",
    stream=_mistral,
    fields=frozenset(
        (COMMON | {"max_tokens", "parallel_tool_calls", "random_seed", "reasoning_effort"})
        - {"seed", "logprobs", "top_logprobs", "stream_options"}
    ),
    overflow=(
        400,
        {
            "object": "error",
            "message": f"Prompt contains 5000 tokens and 0 draft tokens, too large for model with {WINDOW} maximum context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
    ),
    check=_mistral_check,
)

# --- Gemini -----------------------------------------------------------------------------------------------------------


def _gemini(turn: Turn) -> Iterator[Chunk]:
    usage = {"prompt_tokens": 30, "completion_tokens": 3, "total_tokens": 33}
    for piece in pieces(turn.text, 40):
        yield chunk({"role": "assistant", "content": piece}, usage=usage)
    for number, delta in enumerate(_calls(turn, index=lambda _: 0, split=False, ids="function-call-%d")):
        if number == 0:
            signature = {"google": {"thought_signature": f"signature of {turn.calls[0][0]}"}}
            delta["tool_calls"][0]["extra_content"] = signature
        yield chunk({"role": "assistant", **delta}, usage=usage)
    yield chunk({"role": "assistant"}, "stop", usage=usage_openai())
    yield "data: [DONE]"


def _gemini_check(body: dict[str, Any]) -> None:
    _check_effort(body, "none", "minimal", "low", "medium", "high")
    for message in body["messages"]:
        for number, call in enumerate(message.get("tool_calls") or ()):
            signature = call.get("extra_content", {}).get("google", {}).get("thought_signature")
            wanted = f"signature of {call['function']['name']}"
            if number == 0 and signature not in (wanted, "skip_thought_signature_validator"):
                raise Refused(
                    400,
                    [
                        {
                            "error": {
                                "code": 400,
                                "message": "Function call is missing a thought_signature in functionCall parts.",
                                "status": "INVALID_ARGUMENT",
                            }
                        }
                    ],
                )


GEMINI = Behaviour(
    name="gemini",
    stream=_gemini,
    fields=frozenset(
        (COMMON | {"max_tokens", "reasoning_effort"}) - {"seed", "presence_penalty", "frequency_penalty"}
    ),
    overflow=(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": f"The input token count (5000) exceeds the maximum number of tokens allowed ({WINDOW}).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    check=_gemini_check,
)

# --- Groq -------------------------------------------------------------------------------------------------------------


def _groq(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"})
    for piece in pieces(turn.reasoning):
        yield chunk({"reasoning": piece, "channel": "analysis"})
    for piece in pieces(turn.text):
        yield chunk({"content": piece})
    for delta in _calls(turn, index=lambda number: number, split=False, ids="fc_%024d"):
        yield chunk(delta)
    usage = {**usage_openai(), "queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.05}
    yield chunk({}, _reason(turn), x_groq={"id": "req_1", "usage": usage})
    yield "data: [DONE]"


def _groq_check(body: dict[str, Any]) -> None:
    """As gpt-oss behind it takes efforts."""
    if body.get("reasoning_effort", "low") not in ("low", "medium", "high"):
        words = "`reasoning_effort` must be one of `low`, `medium`, or `high`"
        raise Refused(400, openai_error(words))
    _check_messages(
        body,
        lambda number, name: (
            f"'messages.{number}' : for 'role:assistant' the following must be satisfied"
            f"[('messages.{number}' : property '{name}' is unsupported)]"
        ),
        openai_error,
    )


def _check_messages(
    body: dict[str, Any], words: Callable[[int, str], str], envelope: Callable[[str], Any]
) -> None:
    """Refuse a message with a field that is none of theirs."""
    for number, message in enumerate(body["messages"]):
        for name in message.keys() - {"role", "content", "name", "reasoning", "tool_calls", "tool_call_id"}:
            raise Refused(400, envelope(words(number, name)))


GROQ = Behaviour(
    name="groq",
    stream=_groq,
    fields=frozenset(
        (COMMON | {"max_tokens", "max_completion_tokens", "parallel_tool_calls", "reasoning_effort"})
        - {"stream_options", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty"}
    ),
    overflow=(
        400,
        openai_error(
            "Please reduce the length of the messages or completion.", "context_length_exceeded", "messages"
        ),
    ),
    check=_groq_check,
)

# --- Cerebras ---------------------------------------------------------------------------------------------------------


def _cerebras(turn: Turn) -> Iterator[Chunk]:
    yield chunk({"role": "assistant"})
    for piece in pieces(turn.reasoning):
        yield chunk({"reasoning": piece})
    for piece in pieces(turn.text):
        yield chunk({"content": piece})
    for delta in _calls(turn, index=lambda number: number, split=False, ids="%09d"):
        yield chunk(delta)
    yield chunk({}, _reason(turn), usage=usage_openai(), time_info={"queue_time": 0.0001})
    yield "data: [DONE]"


def _bare_error(message: str) -> dict[str, Any]:
    """Cerebras' errors have no envelope."""
    return {
        "message": message,
        "type": "invalid_request_error",
        "param": "validation_error",
        "code": "wrong_api_format",
    }


def _cerebras_check(body: dict[str, Any]) -> None:
    if body.get("reasoning_effort", "low") not in ("low", "medium", "high"):
        raise Refused(422, _bare_error("body.reasoning_effort: Input should be 'low', 'medium' or 'high'"))
    _check_messages(
        body,
        lambda number, name: (
            f"messages.{number}.assistant.{name}: property 'messages.{number}.assistant.{name}' is unsupported"
        ),
        _bare_error,
    )


CEREBRAS = Behaviour(
    name="cerebras",
    stream=_cerebras,
    fields=frozenset(
        COMMON
        | {"max_tokens", "max_completion_tokens", "parallel_tool_calls", "logit_bias", "reasoning_effort"}
        | {"disable_reasoning"}
    ),
    overflow=(
        400,
        {
            **_bare_error(
                f"Please reduce the length of the messages or completion. Current length is 5000 while limit is {WINDOW}"
            ),
            "code": "context_length_exceeded",
        },
    ),
    check=_cerebras_check,
    images=False,
)

SERVERS = {
    one.name: one
    for one in (
        VLLM,
        SGLANG,
        LLAMACPP,
        OLLAMA,
        LMSTUDIO,
        OPENROUTER,
        OPENAI,
        AZURE,
        DEEPSEEK,
        MISTRAL,
        GEMINI,
        GROQ,
        CEREBRAS,
    )
}
