"""Secrets are masked before they leave; ordinary code is not touched."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import string
import sysconfig
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.redaction import mask, mask_text

ALNUM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PEM = (
    "-----BEGIN {0}PRIVATE KEY-----\n"
    + "\n".join(ALNUM[:40] for _ in range(6))
    + "\n-----END {0}PRIVATE KEY-----"
)

# Put together from parts, so that no scanner takes this file for a leak.
SECRETS = {
    "openai key": ["sk-" + "proj-" + ALNUM, "sk-" + ALNUM[:48], "sk-" + "svcacct-" + ALNUM],
    "kodo key": ["sk-" + "kodo-" + ALNUM[:43]],
    "anthropic key": ["sk-" + "ant-api03-" + ALNUM],
    "github token": ["ghp" + "_" + ALNUM[:36], "github" + "_pat_" + ALNUM + ALNUM[:30]],
    "gitlab token": ["glpat" + "-" + ALNUM[:20]],
    "aws key id": ["AKIA" + "QWERTYUIOPASDFGH"],
    "slack token": ["xoxb" + "-123456789012-1234567890123-" + ALNUM[:24]],
    "google key": ["AIza" + ALNUM[:35]],
    "stripe key": ["sk" + "_live_" + ALNUM[:24]],
    "npm token": ["npm" + "_" + ALNUM[:36]],
    "pypi token": ["pypi-" + "AgE" + ALNUM + ALNUM],
    "hugging face token": ["hf" + "_" + LETTERS[:34]],
    "sendgrid key": ["SG" + "." + ALNUM[:22] + "." + ALNUM[:43]],
    "digitalocean token": ["dop" + "_v1_" + "0123456789abcdef" * 4],
    "json web token": [
        ".".join(["eyJ" + "hbGciOiJIUzI1NiJ9", "eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0", ALNUM[:43]])
    ],
    "private key": [PEM.format(kind) for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")],
}
ALL = [(kind, secret) for kind, secrets in SECRETS.items() for secret in secrets]
QUOTING = st.sampled_from(
    ["{}", '"{}"', "'{}'", "key={}", "Authorization: Bearer {}", "url?token={}&x=1", "({})", "{},"]
)


@given(found=st.sampled_from(ALL), quoting=QUOTING, before=st.text(max_size=20), after=st.text(max_size=20))
def test_every_kind_is_found_wherever_it_stands(
    found: tuple[str, str], quoting: str, before: str, after: str
) -> None:
    """A secret in quotes, headers, URLs or assignments is replaced, and its kind is named."""
    kind, secret = found
    text = f"{before}\n{quoting.format(secret)}\n{after}"
    masked, kinds = mask_text(text)
    assert secret not in masked
    assert kind in kinds
    assert masked.count("\n") == text.count("\n")
    assert mask_text(masked) == (masked, ())


def test_line_numbers_stay_when_a_key_block_goes() -> None:
    """A masked private key takes as many lines as before, so a reviewer's line numbers hold."""
    text = f"one\n{PEM.format('RSA ')}\nlast"
    masked, _ = mask_text(text)
    assert masked.splitlines()[-1] == "last"
    assert len(masked.splitlines()) == len(text.splitlines())


def test_a_key_block_cut_off_at_the_end_is_masked_too() -> None:
    """A diff may end in the middle of a key."""
    masked, kinds = mask_text(PEM.format("")[:150])
    assert (masked.strip(), kinds) == ("[masked private key]", ("private key",))


ORDINARY = st.one_of(
    st.text(),
    st.text(alphabet=string.ascii_letters + string.digits + "_-.", max_size=200),
    st.uuids().map(str),
    st.binary(max_size=300).map(lambda data: base64.b64encode(data).decode()),
    st.binary(max_size=50).map(lambda data: hashlib.sha256(data).hexdigest()),
    st.lists(st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=12), max_size=8).map("-".join),
    st.lists(st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=12), max_size=8).map("_".join),
)


@given(st.lists(ORDINARY, max_size=5).map("\n".join))
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Hashes, UUIDs, base64, identifiers and any text without a secret's mark come back unchanged."""
    assert mask_text(text) == (text, ())


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-contrib/sk-something-else",
        "task-" + "a" * 48,
        "risk-assessment-of-something-quite-long-indeed-and-longer",
        "hf_hub_download(repo_id, filename)",
        "npm_config_registry",
        "gh_token = os.environ['GH_TOKEN']",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQ\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\n" + "A" * 64 + "\n-----END CERTIFICATE-----",
        'if line.startswith("-----BEGIN RSA PRIVATE KEY-----"):',
        "AKIA is the prefix of key ids",
        f"id = '{uuid.UUID(int=7)}'",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text: str) -> None:
    """Names, public keys, certificates and code that speaks of keys are not masked."""
    assert mask_text(text) == (text, ())


def test_the_standard_library_has_no_false_mask() -> None:
    """Over two hundred files of ordinary code nothing is masked, and what parses still parses."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(folder.glob("*.py"))
    assert len(files) > 150
    for path in files:
        text = path.read_text("utf-8")
        masked, kinds = mask_text(text)
        assert (path.name, kinds) == (path.name, ())
        if masked != text:
            ast.parse(masked)


def test_masking_goes_into_every_part_of_a_request() -> None:
    """Strings at any depth are masked; keys, numbers and shape stay."""
    secret = SECRETS["github token"][0]
    body = {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": f"x {secret}"}]}],
        "n": 1,
        "b": None,
    }
    masked = mask(body)
    assert secret not in json.dumps(masked.value)
    assert masked.found == ("github token",)
    assert mask(masked.value).found == ()
    assert isinstance(masked.value, dict)
    assert masked.value["n"] == 1
