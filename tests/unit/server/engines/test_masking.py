"""What a server's words are cleaned of before a client or a log sees them."""

from __future__ import annotations

import pytest

from kodo.server.engines.upstream.masking import MAX_REASON_CHARACTERS, HiddenValues, mask
from kodo.server.engines.upstream.refusal import read_refusal


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key provided: sk-proj-abc*****xyz.", "Incorrect API key provided: [key]"),
        ("Authorization: Bearer abcdef0123456789 is wrong", "Authorization: Bearer [key] is wrong"),
        ("api_key=s3cr3t-value, try again", "api_key=[key], try again"),
        ("see http://10.0.0.7:8000/v1/models", "see [address]"),
        ("cannot connect to 192.168.1.20:8080", "cannot connect to [address]"),
        ("host gpu-7.internal is down", "host [address] is down"),
        ("no such file: /srv/models/qwen/model.gguf", "no such file: [path]"),
        ("org 8f14e45fceea167a5a36dedd4bea2543a0b1 is over", "org [key] is over"),
        ("my-own-odd-key was refused", "[key] was refused"),
        ("temperature must be at most 2.0 and/or top_p 1", "temperature must be at most 2.0 and/or top_p 1"),
        ("'messages[0].content' is too long (9000 tokens, 4096 allowed)", "'messages[0].content' is too long (9000 tokens, 4096 allowed)"),
        ("two\n  lines", "two lines"),
    ],
)  # fmt: skip
def test_secrets_and_addresses_are_masked_and_reasons_stay(said: str, shown: str) -> None:
    """Keys in any form, addresses and paths go; numbers, fields and words stay."""
    assert mask(said, HiddenValues(keys=("my-own-odd-key",))) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Connection refused: vllm:8000", "Connection refused: [address]"),
        ("VLLM:8000 is down, vllm is not", "[address] is down, vllm is not"),
        ("no route to models.example.org", "no route to [address]"),
        ("a.models.example.org is another", "a.models.example.org is another"),
        ("the word odd stays, odd-key-2 does not", "the word odd stays, [key] does not"),
    ],
)
def test_the_servers_own_address_is_masked_however_it_looks(said: str, shown: str) -> None:
    """A name without dots counts with its port only; short values of the settings are no keys."""
    secrets = HiddenValues(keys=("odd", "odd-key-2"), addresses=("vllm:8000", "models.example.org"))
    assert mask(said, secrets) == shown


def test_a_long_reason_is_cut() -> None:
    """A page of HTML does not become an error message."""
    assert len(mask("word " * 1000)) <= MAX_REASON_CHARACTERS + 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "why", "code": "c"}}', "why"),
        (b'{"error": "why"}', "why"),
        (b'{"message": "why", "object": "error"}', "why"),
        (b'{"detail": "why"}', "why"),
        (b'{"detail": [{"loc": ["body", "top_k"], "msg": "why", "type": "extra_forbidden"}]}', "top_k: why"),
        (b'[{"error": {"message": "why", "status": "INVALID_ARGUMENT"}}]', "why"),
        (b'{"error": {"message": "outer", "metadata": {"raw": "{\\"error\\": {\\"message\\": \\"why\\"}}"}}}', "outer: why"),
        (b"why", "why"),
        (b"<html>a page</html>", ""),
        (b"", ""),
        (b"[]", ""),
        (b"null", ""),
    ],
)  # fmt: skip
def test_the_reason_is_found_in_every_form(body: bytes, message: str) -> None:
    """OpenAI's envelope, FastAPI's, a list, a string, a provider's error inside another."""
    assert read_refusal(400, body).message == message
