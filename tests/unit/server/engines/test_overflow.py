"""Prompts that do not fit: each server's words for it, as its source or public reports have them."""

from __future__ import annotations

import pytest

from kodo.server.engines.upstream.error_translation import failed_in_answer, translate
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.engines.upstream.refusal import UpstreamRefusal
from kodo.server.lifecycle.errors import ContextLengthExceeded, InvalidRequest

CODE = "context_length_exceeded"


@pytest.mark.parametrize(
    ("profile", "message", "window", "needed"),
    [
        ("vllm", "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).", 4096, 5000),
        ("vllm", "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the length of the input messages.", 4096, 5000),
        ("vllm", "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 tokens and your request has 100 input tokens (4000 > 4096 - 100).", 4096, 4100),
        ("vllm", "This model's maximum context length is 4096 tokens. However, you requested 1000 output tokens and your prompt contains at least 3097 input tokens, for a total of at least 4097 tokens. Please reduce the length of the input prompt.", 4096, 4097),
        ("vllm", "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller.", 4096, 5000),
        ("sglang", "The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096, 5000),
        ("sglang", "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.", 4096, 5000),
        ("llamacpp", "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096, 5000),
        ("llamacpp", "the request exceeds the available context size. try increasing the context size or enable context shift", 0, 0),
        ("ollama", "the input length exceeds the context length", 0, 0),
        ("lmstudio", "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.", 4096, 5000),
        ("lmstudio", "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 5000>= n_ctx: 4096). Try to load the model with a larger context length", 4096, 5000),
        ("openrouter", "This endpoint's maximum context length is 4096 tokens. However, you requested about 5000 tokens (4900 of text input, 100 in the output).", 4096, 5000),
        ("openai", "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.", 4096, 5000),
        ("openai", "Your input exceeds the context window of this model. Please adjust your input and try again.", 0, 0),
        ("deepseek", "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100 in the completion).", 4096, 5000),
        ("mistral", "Prompt contains 5000 tokens and 0 draft tokens, too large for model with 4096 maximum context length", 4096, 5000),
        ("gemini", "The input token count (5000) exceeds the maximum number of tokens allowed (4096).", 4096, 5000),
        ("generic", "prompt is too long: 5000 tokens > 4096 maximum", 4096, 5000),
        ("generic", "input length and `max_tokens` exceed context limit: 4000 + 1000 > 4096, decrease input length or `max_tokens` and try again", 4096, 5000),
        ("generic", "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 1000 `max_new_tokens`", 4096, 5000),
        ("generic", "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000", 4096, 5000),
        ("generic", "This model's maximum prompt length is 4096 but the request contains 5000 tokens.", 4096, 5000),
        ("generic", "prompt token count of 5000 exceeds the limit of 4096", 4096, 5000),
        ("generic", "The prompt is too long: 5000, model maximum context length: 4096", 4096, 5000),
        ("generic", "Please reduce the length of the messages or completion. Current length is 5000 while limit is 4096", 4096, 5000),
        ("generic", "Invalid request: Your request exceeded model token limit: 4096 (requested: 5000)", 4096, 5000),
        ("generic", "Invalid request: Your request exceeded model token limit: 4096", 0, 0),
        ("generic", "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 4096]", 0, 0),
        ("generic", "invalid params, context window exceeds limit", 0, 0),
        ("generic", "Prompt exceeds max length", 0, 0),
        ("generic", "Input is too long for requested model.", 0, 0),
        ("generic", "Input length 5000 exceeds the maximum allowed input length of 4096 tokens.", 4096, 5000),
        ("generic", "The estimated number of input and maximum output tokens (5000) exceeded this model context window limit (4096)", 4096, 5000),
        ("generic", "Requested token count exceeds the model's maximum context length of 4096 tokens", 0, 0),
        ("generic", "Requested tokens (5000) exceed context window of 4096", 4096, 5000),
        ("generic", "Number of tokens (5000) exceeded maximum context length (4096).", 4096, 5000),
        ("generic", "Prompt tokens (5000) exceeds context size (4096)", 4096, 5000),
        ("generic", "too many tokens: size limit exceeded by 904 tokens. Try using shorter or fewer inputs. The limit for this model is 4096 tokens.", 0, 0),
        ("generic", "Prompt length 5000 is greater than max_seq_len 4096", 4096, 5000),
        ("generic", "The sum of prompt length (5000.0), query length (0) should not exceed max_num_tokens (4096)", 4096, 5000),
        ("generic", "Total tokens of image and text exceed max message tokens.", 0, 0),
        ("vllm", "You passed 4000 input tokens and requested 1000 output tokens. However, the model's context length is only 4096 tokens, resulting in a maximum input length of 3096 tokens.", 4096, 5000),
        ("llamacpp", "Context size has been exceeded.", 0, 0),
        ("lmstudio", "Reached context length of 4096 tokens with model (arch: qwen3) that does not currently support mid-generation context overflow.", 0, 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("own", [True, False], ids=["its own profile", "behind a proxy"])
def test_every_servers_words_are_understood(
    profile: str, message: str, window: int, needed: int, own: bool
) -> None:
    """With its profile and with that of another server, as a refusal and in the stream; both numbers where it gives them."""
    chosen = profile_named(profile if own else "azure")
    for error in (
        translate(UpstreamRefusal(status=400, message=message), {}, chosen),
        failed_in_answer({"error": {"message": message}}, chosen),
    ):
        assert isinstance(error, InvalidRequest)
        assert error.code == CODE
        if needed:
            assert isinstance(error, ContextLengthExceeded)
            assert (error.window, error.needed) == (window, needed)


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("Your input image exceeds the limit of 20 MB.", "", None),
        ("The input file exceeds the maximum size of 512 MB.", "", None),
        ("prompt_cache_key is too long", "", None),
        ("Invalid 'messages[1].tool_calls[0].id': string too long.", "string_above_max_length", "messages[1].tool_calls[0].id"),
        ("Invalid 'tools[0].function.name': string too long.", "string_above_max_length", "tools[0].function.name"),
        ("The input schema exceeds 100 object properties.", "", None),
        ("temperature exceeds 2", "", None),
    ],
)  # fmt: skip
def test_what_else_is_too_long_is_not_the_context(message: str, code: str, param: str | None) -> None:
    """An image, a key, an id, a name: a client that compacts its history would not be helped."""
    refusal = UpstreamRefusal(status=400, message=message, code=code, param=param)
    error = translate(refusal, {}, profile_named("generic"))
    assert isinstance(error, InvalidRequest)
    assert error.code != CODE


@pytest.mark.parametrize(
    "param", ["input", "messages", "input[0].content[0].text", "messages[3].content", None]
)
def test_a_text_of_the_prompt_that_is_too_long_is_the_context(param: str | None) -> None:
    """OpenAI's own code for a single text beyond its limit."""
    refusal = UpstreamRefusal(
        status=400, message="string too long", code="string_above_max_length", param=param
    )
    assert translate(refusal, {}, profile_named("openai")).code == CODE


def test_a_busy_server_is_not_a_prompt_that_is_too_long() -> None:
    """Limits on tokens a minute come as 429 in the same words."""
    refusal = UpstreamRefusal(
        status=429, message="Request too large: input tokens exceed the limit per minute"
    )
    assert getattr(translate(refusal, {}, profile_named("openai")), "code", None) != CODE
