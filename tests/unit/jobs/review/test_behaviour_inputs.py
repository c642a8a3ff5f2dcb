"""Kinds of inputs that a change is shown by, each in the sandbox from the diff to the remark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kodo.jobs.report.model import Finding
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import CommitSource, VersionsSource

PATIENT = ReviewOptions(run=True, fixes=False, run_seconds=90)


def _said(before: dict[str, str], after: dict[str, str]) -> list[Finding]:
    report = review(VersionsSource(before, after), PATIENT, None)
    return [one for one in report.findings if one.rule.startswith("kodo/behaviour")]


def _changed(source: str, old: str, new: str) -> list[Finding]:
    assert old in source
    return _said({"m.py": source}, {"m.py": source.replace(old, new)})


SOCKET = """
class Upgraded:
    def __init__(self, application, request):
        self.application = application
        self.request = request
        self.connection = None
        self.stream = None

    def set_nodelay(self, value: bool) -> None:
        assert self.connection is not None
        self.connection.set_nodelay(value)
"""


def test_what_a_method_tells_its_connection_is_shown(tmp_path: Path) -> None:
    """The receiver is made of mocks, the connection is set as another call would, and the command repeats it."""
    new = SOCKET.replace("assert self.connection", "assert self.stream").replace(
        "self.connection.set", "self.stream.set"
    )
    (finding,) = _said({"m.py": SOCKET}, {"m.py": new})
    assert (
        "mock.MagicMock()" in finding.message and "mock_calls = [call.set_nodelay(" in finding.message
    ) or ("AssertionError" in finding.message)
    detail = finding.evidence.detail
    (tmp_path / "m.py").write_text(new)
    command = detail.partition("repeat in both versions: ")[2].replace("python", sys.executable, 1)
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "None\n" or "AssertionError" in done.stderr


PRODUCT = '''
def pairs(*iterables, repeat=1):
    """All of them, as often as asked."""
    pools = tuple(map(tuple, iterables)) * min(repeat, 5)
    return [len(pool) for pool in pools]
'''


def test_an_iterator_is_used_up() -> None:
    """What is gone through twice is empty the second time."""
    old = "tuple(map(tuple, iterables)) * min(repeat, 5)"
    (finding,) = _changed(PRODUCT, old, "tuple(map(tuple, iterables * min(repeat, 5)))")
    assert "iter(" in finding.message


SHOW = """
def show(default, plain):
    if isinstance(default, str) and default == "":
        return '""'
    return type(default).__name__
"""


def test_something_that_equals_everything_is_told_apart() -> None:
    """A comparison without the question for the type."""
    (finding,) = _changed(SHOW, 'isinstance(default, str) and default == ""', 'default == ""')
    assert "mock.ANY" in finding.message


PERIOD = '''
from datetime import time

def period(at, /, night=6):
    """When it is.

    >>> period(time(3))
    'night'
    >>> period(time(12))
    'day'
    """
    return "night" if at.hour < night else "day"
'''


def test_an_example_sees_what_its_module_imports(tmp_path: Path) -> None:
    """As for doctest; and so does the command."""
    (finding,) = _changed(PERIOD, "at.hour < night", "at.hour < night - 4")
    assert "the documentation shows" in finding.message
    assert "period(time(3))" in finding.message
    (tmp_path / "m.py").write_text(PERIOD)
    detail = finding.evidence.detail
    command = detail.partition("repeat in both versions: ")[2].replace("python", sys.executable, 1)
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "'night'\n"


def test_one_change_in_two_modules_is_said_once() -> None:
    """The same call with the same outcomes."""
    source = "def half(x: int) -> int:\n    return x // 2\n"
    other = source.replace("// 2", "// 3")
    before, after = (dict.fromkeys(("a.py", "b.py"), text) for text in (source, other))
    assert len(_said(before, after)) == 1


CACHED = """
class Name:
    def __init__(self, text: str):
        self._text = text
        self._cache = {}

    def __str__(self) -> str:
        self._cache["upper"] = self._text.upper()
        return self._text
"""


def test_what_is_only_kept_is_no_other_behaviour() -> None:
    """A cache holds one value more."""
    assert _changed(CACHED, '"] = self._text.upper()', '"] = self._cache["copy"] = self._text.upper()') == []


PATTERNS = """
PATTERNS = [
    (r"ORDER\\s+BY\\b", "keyword"),
    (r"\\w+", "name"),
]
"""
LEXER = '''
import re

from words import PATTERNS


def tokens(text):
    """The kinds of the words of a text."""
    found, at = [], 0
    while at < len(text):
        for pattern, kind in PATTERNS:
            if match := re.compile(pattern).match(text, at):
                found.append(kind)
                at = match.end()
                break
        else:
            at += 1
    return found
'''
TESTS = """
from lexer import tokens


def test_names():
    assert tokens("a b, c") == ["name"] * 3
"""


def test_a_table_that_another_module_reads_is_shown_by_what_callers_get(tmp_path: Path) -> None:
    """A text that the new pattern matches goes into a call out of a test; the table's own text would say less."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "lexer.py").write_text(LEXER)
    (tmp_path / "test_lexer.py").write_text(TESTS)
    new = PATTERNS.replace("PATTERNS = [", 'PATTERNS = [\n    (r"GROUP\\s+BY\\b", "keyword"),')
    for text in (PATTERNS, new):
        (tmp_path / "words.py").write_text(text)
        subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
        who = ["-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run(["git", *who, "commit", "-qm", "m"], cwd=tmp_path, check=True)
    report = review(CommitSource("HEAD", tmp_path), PATIENT, None)
    (finding,) = [one for one in report.findings if one.rule.startswith("kodo/behaviour")]
    assert "tokens('" in finding.message and "'keyword'" in finding.message


APPLICATION = """
class Application:
    def __init__(self, name: str) -> None:
        self.name = name
        self.config: dict[str, object] = {}

def signing_keys(application: Application) -> list[str]:
    keys = [application.name]
    if older := application.config.get("OLDER_KEYS"):
        keys.extend(older)
    return keys
"""
CONFIGURED = """
from m import Application

def test_name():
    application = Application("shop")
    application.config["OLDER_KEYS"] = ["first", "second"]
    assert application.name == "shop"
"""


def test_an_object_is_given_in_a_state_that_tests_set() -> None:
    """A constructor leaves it without what the change is about, and no test that sets that calls the function."""
    new = APPLICATION.replace("keys = [application.name]", "keys: list[str] = []").replace(
        "    return keys", "    keys.append(application.name)\n    return keys"
    )
    before, after = (
        {"m.py": APPLICATION, "test_m.py": CONFIGURED},
        {"m.py": new, "test_m.py": CONFIGURED + "\n"},
    )
    (finding,) = _said(before, after)
    assert "application.config['OLDER_KEYS'] = [" in finding.message and "signing_keys(" in finding.message
