r"""The forms of secrets that are known by a fixed mark. A table; :mod:`kodo.client.redaction` applies it.

The marks are those that the issuers publish and secret scanners (GitHub's, gitleaks') use. Every pattern takes time
linear in the text: repeats are possessive or bounded, so that no input makes it go over the same characters again.

A *token* is a secret by itself: a mark, and what follows it. A *named* secret has no mark of its own and is known by
what stands before it: the name of a setting, a header, the user in a URL; only its value (the group ``v``) is masked,
and letters are compared without case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD, _BASE64, _HEX = "[A-Za-z0-9]", "[A-Za-z0-9+/=]", "[a-f0-9]"
_DASHED = "[A-Za-z0-9_-]"


@dataclass(frozen=True, slots=True)
class Form:
    """One form: its kind, the mark that every match begins with, and the pattern, which begins with the mark."""

    kind: str
    mark: str
    pattern: re.Pattern[str]


def _token(kind: str, mark: str, rest: str) -> Form:
    """A token: not inside of a word or number, so the letter before the mark (if any) is looked at."""
    left = f"(?<![A-Za-z0-9]{re.escape(mark)})"
    return Form(kind, mark, re.compile(re.escape(mark) + left + rest))


def _long(least: int, letters: str = _DASHED) -> str:
    """A pattern for a run of at least ``least`` letters, taken to its end."""
    return f"{letters}{{{least},}}+"


def _exactly(count: int, letters: str = _DASHED) -> str:
    """A pattern for exactly ``count`` letters."""
    return f"{letters}{{{count}}}(?!{letters})"


_PEM_BODY = r"[^-]*+(?:-(?!----)[^-]*+)*+"
_PEM_END = r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_PEM_CUT = r"[A-Za-z0-9+/=\s\\:,]{40,}+\Z"
"""A key that is cut off: only its lines follow, up to the end."""
_JWT_REST = r"\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{20,}+"
_DIGIT = r"(?=[A-Za-z0-9_.=+/-]{0,60}\d)"
_MARKED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # (kind, marks, what follows)
    ("private key", ("-----BEGIN ",), rf"(?:[A-Z0-9]{{1,20}} ){{0,3}}PRIVATE KEY(?: BLOCK)?-----"
     rf"(?:(?=[\s\S]{{40}}){_PEM_BODY}{_PEM_END}|{_PEM_CUT})"),
    ("age key", ("AGE-SECRET-KEY-1",), _long(40, "[A-Z0-9]")),
    ("anthropic key", ("sk-ant-",), _long(32)),
    ("kodo key", ("sk-kodo-",), _long(32)),
    ("kodo client secret", ("ek_",), _long(32)),
    ("openrouter key", ("sk-or-v1-",), _long(32)),
    ("openai key", ("sk-proj-", "sk-svcacct-", "sk-admin-"), _long(32)),
    ("openai key", ("sk-",), _long(32, _WORD)),
    ("groq key", ("gsk_",), _long(32, _WORD)),
    ("xai key", ("xai-",), _long(32, _WORD)),
    ("model server key", ("pplx-", "nvapi-", "tvly-", "pcsk_", "lsv2_pt_", "lsv2_sk_"), _DIGIT + _long(24)),
    ("model server key", ("csk-", "jina_"), _long(32, _WORD)),
    ("elevenlabs key", ("sk_",), _exactly(48, _HEX)),
    ("twilio key", ("SK",), _exactly(32, _HEX)),
    ("replicate token", ("r8_",), _long(32, _WORD)),
    ("hugging face token", ("hf_", "api_org_"), _long(30, "[A-Za-z]")),
    ("databricks token", ("dapi",), r"[a-f0-9]{32}(?:-\d)?(?![A-Za-z0-9])"),
    ("github token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _long(36, _WORD)),
    ("github token", ("github_pat_",), _long(60, "[A-Za-z0-9_]")),
    ("gitlab token", tuple(f"gl{part}-" for part in ("pat", "dt", "rt", "ptt", "cbt", "soat", "ft", "imt", "agent", "oas")), _long(20)),
    ("atlassian token", ("ATATT3", "ATCTT3", "ATBB"), _long(28, "[A-Za-z0-9_=-]")),
    ("aws key id", ("AKIA", "ASIA", "ABIA", "ACCA"), _exactly(16, "[A-Z2-7]") + "(?![A-Za-z0-9_])"),
    ("slack token", tuple(f"xox{letter}-" for letter in "abeoprs"), _long(20, "[0-9A-Za-z-]")),
    ("slack token", ("xoxe.xox",), "[bp]-" + _long(20, "[0-9A-Za-z-]")),
    ("slack app token", ("xapp-",), r"\d-" + _long(20)),
    ("slack webhook", ("https://hooks.slack.com/",), r"(?:services|workflows|triggers)/[A-Za-z0-9+/_-]{20,}+"),
    ("google key", ("AIza",), _exactly(35)),
    ("google secret", ("GOCSPX-",), _exactly(28)),
    ("google access token", ("ya29.",), _long(20)),
    ("stripe key", ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"), _long(20, "[A-Za-z0-9+/=]")),
    ("npm token", ("npm_",), _exactly(36, _WORD)),
    ("pypi token", ("pypi-AgE",), _long(50)),
    ("rubygems key", ("rubygems_",), _exactly(48, _HEX)),
    ("docker token", ("dckr_pat_", "dckr_oat_"), _long(20)),
    ("sendgrid key", ("SG.",), r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_])"),
    ("mail service key", ("xkeysib-", "re_"), r"(?:[a-f0-9]{64}-[A-Za-z0-9]{16}|[A-Za-z0-9]{8}_[A-Za-z0-9]{24})(?![A-Za-z0-9])"),
    ("digitalocean token", ("dop_v1_", "doo_v1_", "dor_v1_"), _exactly(64, _HEX)),
    ("vault token", ("hvs.", "hvb.", "hvr."), _long(24)),
    ("linear key", ("lin_api_", "lin_oauth_"), _long(32, _WORD)),
    ("shopify token", ("shpat_", "shpca_", "shppa_", "shpss_"), _exactly(32, "[a-fA-F0-9]")),
    ("service token", ("ntn_", "sntryu_", "sbp_", "nfp_", "rnd_", "sgp_", "pul-"), _long(27, _WORD)),
    ("service token", ("figd_", "glsa_", "glc_", "sntrys_", "PMAK-", "NRAK-", "HRKU-", "CFPAT-", "dp.pt.", "dt0c01.", "pscale_tkn_",
     "pscale_pw_", "sb_secret_"), _DIGIT + _long(24, "[A-Za-z0-9_.=+/-]")),
    ("json web token", ("eyJ",), r"(?<![_-]eyJ)[A-Za-z0-9_-]{10,}+" + _JWT_REST),
    ("json web token", ("eyJ",), r"[A-Za-z0-9_-]{10,120}+" + _JWT_REST),  # behind a dash: bounded, as many may begin in one word
)  # fmt: skip  # a table reads better in rows

TOKENS: tuple[Form, ...] = tuple(_token(kind, mark, rest) for kind, marks, rest in _MARKED for mark in marks)

_GAP = r"""\\?["']?\]?[ \t]{0,4}(?::=|=>|[:=])[ \t]{0,4}\\?["']?"""
"""Between a name and its value: quotes (escaped ones in JSON), a bracket, spaces, and one sign."""
_MIXED = r"(?=[a-z0-9/+_~.=-]{0,60}\d)(?=[0-9/+_~.=-]{0,60}[a-z])(?P<v>[a-z0-9/+_~.=-]{20,}+)"
_NAMES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # (kind, marks in small letters, pattern of the rest)
    ("aws secret", ("secret_access_key", "secretaccesskey", "aws_secret_key"), _GAP + r"(?P<v>[a-z0-9/+=]{40,}+)"),
    ("aws session token", ("session_token", "sessiontoken"), _GAP + r"(?P<v>[a-z0-9/+=]{100,}+)"),
    ("azure key", ("accountkey", "sharedaccesskey", "account_key", "storage_key"), _GAP + r"(?P<v>[a-z0-9/+=]{40,}+)"),
    ("azure signature", ("?sig=", "&sig="), r"(?P<v>[a-z0-9%/+=]{40,}+)"),
    ("client secret", ("client_secret", "clientsecret", "client-secret"), _GAP + _MIXED),
    ("api key", ("api_key", "api-key", "apikey", "_authtoken", "auth_token", "access_token", "secret_key"), _GAP + _MIXED),
    ("authorization header", ("authorization",), _GAP
     + r"(?:(?:bearer|basic|token|apikey|key|negotiate)[ \t]{1,4})(?P<v>[a-z0-9._~+/=:-]{8,}+)"),
    ("password in a url", ("://",), r"""[^\s/:@'"<>{}$\\]{0,200}+:"""
     r"""(?!(?:password|passwd|pass|pwd|secret|\*+|x+|\.\.\.)@)(?P<v>[^\s/@'"<>{}$\\:*]{3,200}+)@[a-z0-9\[]"""),
)  # fmt: skip  # same

NAMED: tuple[Form, ...] = tuple(
    Form(kind, mark, re.compile(re.escape(mark) + rest)) for kind, marks, rest in _NAMES for mark in marks
)
