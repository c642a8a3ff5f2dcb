"""What the project wants of a review: ``[tool.kodo.review]`` of its pyproject.toml, and what ruff is told there.

Read from the state before the change, so that a change cannot switch off its own review.
"""

import fnmatch
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kodo.client.i18n import LocalizedError
from kodo.jobs.review.analysers.ruff import target_of

_KEYS = {"ignore", "exclude", "allow_new_suppressions"}


class ProjectSettingsError(LocalizedError, ValueError):
    """The project's settings are wrong; the message names the key."""


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """``ignore``: rules or classes that are not wanted; ``exclude``: paths (shell patterns) that are not reviewed.

    ``allow_new_suppressions``: whether comments that a change adds suppress the findings of that change.
    ``per_file``: rules not wanted in some paths. ``target``: ruff's name for the oldest Python the project runs on.
    """

    ignore: frozenset[str] = frozenset()
    exclude: tuple[str, ...] = ()
    allow_new_suppressions: bool = False
    per_file: Mapping[str, tuple[str, ...]] | None = None
    target: str = ""

    def excludes(self, path: str) -> bool:
        """Whether the project keeps this path out of reviews."""
        return any(
            fnmatch.fnmatch(path, pattern) or path.startswith(pattern.rstrip("/") + "/")
            for pattern in self.exclude
        )

    def unwanted(self, path: str, rule: str, category: str) -> bool:
        """Whether the project does not want this rule (or class) here."""
        if category in self.ignore or any(rule == name or _covers(name, rule) for name in self.ignore):
            return True
        return any(
            _covers(name, rule)
            for pattern, names in (self.per_file or {}).items()
            if fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path.rpartition("/")[2], pattern)
            for name in names
        )


def load_settings(base_text: Callable[[str], str | None]) -> ProjectSettings:
    """Read the settings. Raises ProjectSettingsError for an unknown key or a value of the wrong kind."""
    text = base_text("pyproject.toml")
    if text is None:
        return ProjectSettings()
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProjectSettingsError(
            f"pyproject.toml: {error}", f"pyproject.toml を読めません（{error}）"
        ) from error
    mine = _table(data, "tool", "kodo", "review")
    if unknown := mine.keys() - _KEYS:
        known = ", ".join(sorted(_KEYS))
        raise ProjectSettingsError(
            f"tool.kodo.review.{min(unknown)}: no such setting; there are {known}",
            f"tool.kodo.review.{min(unknown)} という設定はありません。使える設定: {known}",
        )
    lint = _table(data, "tool", "ruff", "lint")
    per_file = {
        pattern: tuple(names)
        for pattern, names in _table(lint, "per-file-ignores").items()
        if isinstance(names, list)
    }
    theirs = lint.get("ignore", [])
    ignore = {*_strings(mine, "ignore"), *(map(str, theirs) if isinstance(theirs, list) else ())}
    requires = _table(data, "project").get("requires-python", "")
    own_target = _table(data, "tool", "ruff").get("target-version", "")
    target = own_target if isinstance(own_target, str) and own_target else target_of(str(requires))
    allowed = mine.get("allow_new_suppressions", False)
    if not isinstance(allowed, bool):
        raise ProjectSettingsError(
            "tool.kodo.review.allow_new_suppressions: true or false is needed",
            "tool.kodo.review.allow_new_suppressions には true か false を指定してください",
        )
    return ProjectSettings(frozenset(ignore), _strings(mine, "exclude"), allowed, per_file, target)


def _covers(name: str, rule: str) -> bool:
    """Whether ruff's selector ``name`` (S, S6, S608) covers ``rule``; kodo's own rules are named in full."""
    return bool(name) and name.isascii() and name.isalnum() and name.isupper() and rule.startswith(name)


def _table(data: Mapping[str, object], *path: str) -> Mapping[str, object]:
    value: object = data
    for key in path:
        value = value.get(key, {}) if isinstance(value, Mapping) else {}
    return value if isinstance(value, Mapping) else {}


def _strings(table: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProjectSettingsError(
            f"tool.kodo.review.{key}: a list of strings is needed",
            f"tool.kodo.review.{key} には文字列のリストを指定してください",
        )
    return tuple(value)
