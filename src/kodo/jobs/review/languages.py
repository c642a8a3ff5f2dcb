"""Which language a file is in, by its name or first line, and which files are not code at all."""

import re
from pathlib import PurePosixPath

_BY_SUFFIX = {
    ".py": "python", ".pyi": "python", ".pyw": "python",
    ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
    ".go": "go", ".java": "java", ".rs": "rust", ".c": "c", ".h": "c",
    ".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml",
    ".env": "config", ".ini": "config", ".cfg": "config", ".conf": "config", ".properties": "config",
}  # fmt: skip  # a table reads better in rows
_UNSUPPORTED = {
    ".rb": "Ruby", ".php": "PHP", ".cs": "C#", ".kt": "Kotlin", ".swift": "Swift", ".scala": "Scala",
    ".lua": "Lua", ".pl": "Perl", ".sh": "shell", ".bash": "shell", ".sql": "SQL", ".cpp": "C++",
    ".cc": "C++", ".hpp": "C++", ".dart": "Dart", ".ex": "Elixir", ".hs": "Haskell", ".r": "R", ".vue": "Vue",
    ".svelte": "Svelte", ".ipynb": "Jupyter", ".m": "Objective-C", ".zig": "Zig", ".ps1": "PowerShell",
}  # fmt: skip  # same
_LOCKS = frozenset(
    {"package-lock.json", "yarn.lock", "poetry.lock", "uv.lock", "Cargo.lock", "go.sum", "pnpm-lock.yaml"}
)
DISPLAY_NAMES = {
    "python": "Python", "javascript": "JavaScript", "typescript": "TypeScript", "tsx": "TypeScript",
    "go": "Go", "java": "Java", "rust": "Rust", "c": "C", "json": "JSON", "toml": "TOML", "yaml": "YAML",
    "config": "configuration",
}  # fmt: skip  # same
SUFFIXES = {
    "python": ".py", "javascript": ".js", "typescript": ".ts", "tsx": ".tsx", "go": ".go", "java": ".java",
    "rust": ".rs", "c": ".c",
}  # fmt: skip  # same

_TEST_FOLDERS = frozenset({"tests", "test", "testing", "__tests__", "spec"})
_DATA_FOLDERS = frozenset(
    {"data", "cases", "examplefiles", "golden", "inputs", "expected", "resources", "snippets"}
)
_TEST_DATA = frozenset({"testdata", "test_data", "test-data"})
_HEAD_LINES = 12
_GENERATED = re.compile(
    r"^\s*(?:#|//|/?\*|--|;)(?=.*(?:@generated\b|\bDO NOT (?:EDIT|MODIFY)\b)).*\bgenerated\b",
    re.IGNORECASE | re.MULTILINE,
)
"""A comment, in one line: as `Go <https://go.dev/s/generatedcode>`_ and protoc write it."""
_MINIFIED_LINE = 400
"""Characters of a script's line on average above which nobody wrote it by hand."""
_ALIASES = {"py": ".py", "js": ".js", "ts": ".ts", "golang": ".go", "bash": ".sh", "c++": ".cpp", "c#": ".cs"}


def suffix_of(language: str) -> str:
    """The suffix of a file in a language named as people name it; ".txt" for a name that is not known."""
    name = language.strip().lower()
    known = {display.lower(): suffix for suffix, display in reversed(_UNSUPPORTED.items())}
    data = {"json": ".json", "toml": ".toml", "yaml": ".yaml"}
    return {**known, **data, **SUFFIXES, **_ALIASES}.get(name, ".txt")


def language_of(path: str, text: str = "") -> str:
    """The language's short name, or "" where kodo has no analyser for the file."""
    pure = PurePosixPath(path)
    if pure.name in _LOCKS:
        return ""
    if pure.name.startswith(".env"):
        return "config"
    known = _BY_SUFFIX.get(pure.suffix.lower(), "")
    if not known and not pure.suffix and text.startswith("#!") and "python" in text.partition("\n")[0]:
        return "python"
    return known


def unreviewable_reason(path: str, text: str = "") -> tuple[str, bool]:
    """Why a file without a language is not reviewed, and whether that is a gap (it is code)."""
    pure = PurePosixPath(path)
    if pure.name in _LOCKS:
        return "lock file", False
    if name := _UNSUPPORTED.get(pure.suffix.lower()):
        return f"no analyser for {name}", True
    if not pure.suffix and text.startswith("#!"):
        return "no analyser for this kind of script", True
    return "not code", False


def is_minified(language: str, text: str) -> bool:
    """Whether a script is what a minifier made: nobody wrote it so, and its source is elsewhere."""
    lines = text.count("\n") + 1
    return language == "javascript" and len(text) > 2_000 and len(text) / lines > _MINIFIED_LINE


def is_generated(text: str) -> bool:
    """Whether the head of a file says that a program wrote it, as compilers of schemas and parsers do."""
    return bool(_GENERATED.search("".join(text.splitlines(keepends=True)[:_HEAD_LINES])))


def is_test_data(path: str) -> bool:
    """Whether a file is what tests read and no code of theirs: it lies in a folder of data below one of tests."""
    folders = PurePosixPath(path).parts[:-1]
    at = next((at for at, name in enumerate(folders) if name in _TEST_FOLDERS), len(folders))
    return bool(_DATA_FOLDERS.intersection(folders[at + 1 :])) or bool(_TEST_DATA.intersection(folders))


def is_test(path: str) -> bool:
    """Whether a file holds tests, by its name or a folder named tests."""
    pure = PurePosixPath(path)
    return (
        pure.name.startswith("test_")
        or pure.stem.endswith(("_test", ".test", ".spec"))
        or pure.name == "conftest.py"
        or bool(_TEST_FOLDERS.intersection(pure.parts[:-1]))
    )
