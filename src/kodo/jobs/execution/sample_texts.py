"""Texts in the formats that a package reads: what its documents show in blocks of another language, and its own data files.

A grammar is seldom guessed from the code of its parser, and nearly always shown where the parser is explained. Reads files only.
"""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kodo.jobs.execution.target import TargetModule

_FENCED = re.compile(
    r"^([ \t]*)(```+|~~~+)[ \t]*([\w.{}+-]*)[^\n]*\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL
)
_BLOCK = re.compile(
    r"^[^\n]*::[ \t]*([\w+-]*)[ \t]*\n(?:[ \t]+:\w+:[^\n]*\n)*[ \t]*\n((?:[ \t]+\S[^\n]*\n?|[ \t]*\n)+)",
    re.MULTILINE,
)
_OTHER_LANGUAGES = frozenset(
    {
        "python",
        "py",
        "pycon",
        "python3",
        "bash",
        "sh",
        "shell",
        "console",
        "shell-session",
        "zsh",
        "mermaid",
        "{code-block}",
    }
)
"""Blocks of Python are read as calls, and those for a shell are no text of a package."""
_CODE = frozenset({".py", ".pyi", ".pyc", ".so", ".pyd", ".typed", ".c", ".h", ".pyx", ".pxd"})
_MAX_BYTES, _MAX_TEXT, _MAX_LINES, _MAX_TEXTS, _MAX_FILES = 200_000, 1200, 24, 24, 12


def sample_texts(module: TargetModule, documents: Iterable[str]) -> tuple[str, ...]:
    """The texts, those of the module's docstrings first, without repeats and each cut to at most 24 lines."""
    docstrings = (
        ast.get_docstring(node) or ""
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    )
    blocks = [block for text in (*docstrings, *documents) for block in _blocks(text)]
    found = (_cut(text) for text in (*blocks, *_of_library(module), *_data_files(module)))
    return tuple(dict.fromkeys(text for text in found if text.strip()))[:_MAX_TEXTS]


_PYTHON = (
    'import os\nfrom a.b import c as d\n\n@d\nclass A(B, metaclass=C):\n    """Doc."""\n    x: int = 1\n\n'
    "    def f(self, a, *b, c=2, **d) -> str:\n        return f'{a!r} and {c:>{a}}' 'more'\n",
    "async def g(x):\n    async with x as y, (z):\n        await y[1:2, ::3]\n    for i, j in [(1, 2)]:\n        yield (i)\n    else:\n"
    "        del x.a, (y)\n    try:\n        raise E(1) from None\n    except (A, B) as e:\n        pass\n    finally:\n        global q\n",
    "x = [a for a in b if c]\ny = {k: v for k, v in z.items()}\ns = {1, *t}\nq = (i for i in (1, 2))\nw = lambda a, b=1: (a, b)\n"
    "if a < b <= (c) and not d:\n    print(a, *b, c=1, **d)\nelif x:\n    x = -1 if y else (yield)\nx += (1)\nwhile True: break\n",
)
_LIBRARY: Mapping[str, tuple[str, ...]] = {
    "ast": _PYTHON,
    "tokenize": _PYTHON,
    "json": ('{"a": [1, -2.5e3, null, true, "x\\n"], "b": {"c": {}}}\n', "[]\n", '"text"\n'),
    "csv": ('a,b,c\n1,"x, y",3\n,,\n',),
    "configparser": ("[part]\nname = value\n# comment\nlist =\n    one\n    two\n[other]\n",),
    "tomllib": ('a = 1\nb = "x"\n[t]\nc = [1, 2.5]\nd = {e = true}\n[[u]]\nv = 1979-05-27\n',),
    "xml": ('<?xml version="1.0"?>\n<a x="1"><!-- c --><b>text</b><b/>tail</a>\n',),
    "html": ("<!DOCTYPE html><p class='a'>x &amp; <b>y</b><br/></p>\n",),
    "email": ("From: a@example.org\nSubject: x\n  y\n\nbody\n",),
    "shlex": ("a 'b c' \"d\" # e\n",),
}
"""Module of the library that a package reads a format with -> texts in that format, of every kind that it has."""


def _of_library(module: TargetModule) -> Iterator[str]:
    """Texts in the formats whose modules of the library the module imports."""
    for node in ast.walk(module.tree):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        for name in names:
            yield from _LIBRARY.get(name.partition(".")[0], ())


def variant(texts: Sequence[str], rng: random.Random) -> str:
    """One of the texts, as it is or with a line left out, written twice, put elsewhere, or taken from another one."""
    lines = rng.choice(texts).splitlines()
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        at = rng.randrange(len(lines)) if lines else 0
        match rng.randrange(5):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines[at:at] = lines[at : at + 1]
            case 2:
                lines.insert(rng.randint(0, len(lines)), rng.choice(rng.choice(texts).splitlines() or [""]))
            case 3 if lines:
                lines[at] = _without_a_part(lines[at], rng)
            case _:
                lines = lines[: at + 1]
    return "\n".join(lines) + "\n"


_FORMS = (
    "[{0}]", "[{0}", "{0} = {1}", "{0}: {1}", "{0}:{1}", "{0}={1}", "  {1}", "\t{0}", "# {0}", "; {0}", "{0}, {1}", "{0};{1}", "{0}|{1}",
    "{0}: [{1}, {0}]", "<{0}>{1}</{0}>", "- {0}", "* {0}", "{0} {1}", "{0} {1} {0}", "({0}, {1})", "{{{0}}}", "'{0}'", '"{0}" = "{1}"',
    "{0} # {1}", "", "== {0} ==", "@{0}", "%{0}", "/{0}", "{0}\\", "{0} -> {1}",
)  # fmt: skip
"""Lines of the formats that people write by hand; the holes are for words and numbers."""
_SIGNS = re.compile(r"[^\w\s{}]")


def lines_of(words: Sequence[str], rng: random.Random) -> str:
    """A few lines of those forms whose signs are all among the ``words`` of the code, and of the words alone."""
    known = set("".join(words))
    forms = [one for one in _FORMS if set(_SIGNS.findall(one)) <= known] or ["{0}"]
    names = [one for one in words if re.fullmatch(r"[\w.-]{1,20}", one)] or ["name"]
    count = rng.choice((0, 1, 1, 2, 3, 5, 8))
    filled = (
        rng.choice(forms).format(
            rng.choice((*names[:20], "name", "x")), rng.choice((*names[:20], "value", "1", "2.5", ""))
        )
        for _ in range(count)
    )
    return "\n".join(filled) + rng.choice(("\n", "\n", ""))


def _without_a_part(line: str, rng: random.Random) -> str:
    """A line without one of its words and signs, or with it twice."""
    parts = re.findall(r"\w+|\s+|[^\w\s]", line)
    if not parts:
        return "  " + line
    at = rng.randrange(len(parts))
    return "".join([*parts[:at], *parts[at : at + 1] * rng.choice((0, 2)), *parts[at + 1 :]])


def _blocks(text: str) -> Iterator[str]:
    for found in _FENCED.finditer(text):
        if found.group(3).lower() not in _OTHER_LANGUAGES and not _is_python(found.group(4)):
            yield textwrap.dedent(found.group(4))
    for found in _BLOCK.finditer(text):
        block = textwrap.dedent(found.group(2))
        if found.group(1).lower() not in _OTHER_LANGUAGES and not _is_python(block):
            yield block.strip("\n") + "\n"


def _is_python(block: str) -> bool:
    """Whether a block is Python or a session with prompts; a line of words may be either, and is taken for text."""
    if ">>>" in block or re.search(r"^\s*\$ ", block, re.MULTILINE):
        return True
    try:
        body = ast.parse(textwrap.dedent(block)).body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Call | ast.FunctionDef | ast.ClassDef)
        for one in body
        for node in ast.walk(one)
    )


def _data_files(module: TargetModule) -> Iterator[str]:
    """The texts of the files beside the module and below it that are no code."""
    folder = module.path.parent
    if folder == module.import_root:
        return
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix not in _CODE and path.is_file()]
    for path in paths[:: max(1, len(paths) // _MAX_FILES)][:_MAX_FILES]:
        if "__pycache__" not in path.parts and path.stat().st_size <= _MAX_BYTES:
            yield _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _cut(text: str) -> str:
    lines = text.splitlines(keepends=True)[:_MAX_LINES]
    while lines and sum(map(len, lines)) > _MAX_TEXT:
        lines.pop()
    return "".join(lines)
