"""Finds secrets in text that is about to leave, and masks them. Patterns only; nothing is sent anywhere to check.

Only forms with a fixed mark (a prefix, a PEM armour, a signed token) are looked for, so ordinary code, hashes and
UUIDs are never masked. A password without a mark is not found; neither is a secret split over several strings.
The prefixes are those the issuers publish and secret scanners (GitHub's, gitleaks') use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LEFT = r"(?<![A-Za-z0-9_/+-])"
_RIGHT = r"(?![A-Za-z0-9_])"

_TOKENS: Mapping[str, str] = {
    "anthropic key": r"sk-ant-[A-Za-z0-9_-]{32,}",
    "kodo key": r"sk-kodo-[A-Za-z0-9_-]{32,}",
    "openai key": r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,}|[A-Za-z0-9]{32,})",
    "github token": r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})",
    "gitlab token": r"gl(?:pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_-]{20,}",
    "aws key id": r"(?:AKIA|ASIA)[A-Z2-7]{16}",
    "slack token": r"xox[abeoprs]-[0-9A-Za-z-]{20,}",
    "slack webhook": r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
    "google key": r"AIza[A-Za-z0-9_-]{35}",
    "google secret": r"GOCSPX-[A-Za-z0-9_-]{28}",
    "stripe key": r"[rs]k_live_[A-Za-z0-9]{20,}",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "pypi token": r"pypi-AgE[A-Za-z0-9_-]{50,}",
    "hugging face token": r"hf_[A-Za-z]{30,}",
    "sendgrid key": r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "digitalocean token": r"do[opr]_v1_[a-f0-9]{64}",
    "json web token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
}

_PEM = (
    r"-----BEGIN (?P<pem>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?!-----)[\s\S]){40,}?(?:-----END (?P=pem)-----|\Z)"
)
_ANY = re.compile(
    "|".join(
        [
            f"(?P<k0>{_PEM})",
            *(f"(?P<k{n}>{_LEFT}{form}{_RIGHT})" for n, form in enumerate(_TOKENS.values(), 1)),
        ]
    )
)
_KINDS = ("private key", *_TOKENS)


@dataclass(frozen=True, slots=True)
class Masked:
    """Text (or a JSON value) with its secrets replaced, and the kind of each that was found, in order."""

    value: object
    found: tuple[str, ...]


def mask_text(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace each secret by ``[masked KIND]``; line numbers stay as they are.

    Returns:
        The text and the kinds found, one entry a secret. Masking twice changes nothing more.
    """
    found: list[str] = []

    def replace(match: re.Match[str]) -> str:
        kind = _KINDS[int((match.lastgroup or "k0").removeprefix("k"))]  # the outer group closes last
        found.append(kind)
        return f"[masked {kind}]" + "\n" * match.group().count("\n")

    return _ANY.sub(replace, text), tuple(found)


def mask(value: object) -> Masked:
    """Mask every string inside a JSON value. Keys of objects stay."""
    found: list[str] = []

    def walk(part: object) -> object:
        if isinstance(part, str):
            text, kinds = mask_text(part)
            found.extend(kinds)
            return text
        if isinstance(part, Mapping):
            return {key: walk(item) for key, item in part.items()}
        if isinstance(part, (list, tuple)):
            return [walk(item) for item in part]
        return part

    return Masked(walk(value), tuple(found))
