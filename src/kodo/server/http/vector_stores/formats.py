"""The formats of files that can be read, by the endings of their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OFFICE: Final[Mapping[str, str]] = {".docx": "docx", ".pptx": "pptx", ".xlsx": "xlsx"}
TEXT: Final = frozenset(
    [
        ".c",
        ".cc",
        ".cpp",
        ".cs",
        ".css",
        ".csv",
        ".go",
        ".h",
        ".hpp",
        ".ini",
        ".java",
        ".js",
        ".json",
        ".jsonl",
        ".kt",
        ".log",
        ".md",
        ".markdown",
        ".php",
        ".pl",
        ".py",
        ".rb",
        ".rs",
        ".rst",
        ".scala",
        ".sh",
        ".sql",
        ".swift",
        ".tex",
        ".toml",
        ".ts",
        ".tsv",
        ".tsx",
        ".txt",
        ".xml",
        ".yaml",
        ".yml",
    ]
)
