"""Who owns what an issue names: the paths in its text, and CODEOWNERS (the last matching line counts, as on the forges)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate

FILES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where it is looked for, in this order."""
MAX_OWNERS = 2
_PATH = re.compile(r"(?<![\w/.:-])((?:[\w.-]+/)+[\w.-]+\.\w{1,8})(?![\w/])")
_ACCOUNT = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9._-]{0,60})")


def owners_of(text: str, codeowners: str) -> tuple[str, ...]:
    """The accounts (without ``@``) that own the first path of a text that has any; teams and addresses do not count."""
    rules = _rules(codeowners)
    for path in dict.fromkeys(_PATH.findall(text[:20_000])):
        for pattern, owners in reversed(rules):
            if pattern.match(path):
                if owners:
                    return tuple(owners[:MAX_OWNERS])
                break
    return ()


def _rules(codeowners: str) -> list[tuple[re.Pattern[str], list[str]]]:
    rules: list[tuple[re.Pattern[str], list[str]]] = []
    for line in codeowners[:200_000].splitlines():
        words = line.split("#", 1)[0].split()
        if not words or words[0].startswith("["):
            continue
        rules.append((_pattern(words[0]), _accounts(words[1:])))
    return rules


def _accounts(words: Sequence[str]) -> list[str]:
    return [word[1:] for word in words if _ACCOUNT.fullmatch(word)]


def _pattern(pattern: str) -> re.Pattern[str]:
    """A line's pattern: from the root if it has a slash in its middle, else anywhere; a folder means all in it."""
    anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/")
    if body == "*":
        return re.compile(".*")
    inner = translate(body.replace("**", "\0")).replace("\\\0", ".*").replace("\0", ".*")
    inner = inner.removeprefix("(?s:").removesuffix(r")\Z").replace(".*?", "[^/]*")
    return re.compile(("" if anchored else "(?:.*/)?") + f"(?:{inner})(?:/.*)?$", re.DOTALL)
