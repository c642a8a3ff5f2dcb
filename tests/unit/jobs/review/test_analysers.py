"""The analysers: the table of rules fits the installed ruff, settings of the project are not read, crashes are gaps."""

import json
import subprocess
import sys

import pytest

from kodo.jobs.review import ReviewOptions, TextSource, VersionsSource, review
from kodo.jobs.review.analysers import bandit, ruff
from kodo.jobs.review.analysers.ruff_rules import FRAMEWORK_DEFAULTS, IN_TESTS_IGNORED, RULES
from kodo.jobs.review.candidate import Subject


def rules_of(text: str, name: str = "m.py") -> list[str]:
    return [item.rule for item in review(TextSource(text, name), ReviewOptions(), None).findings]


def test_every_rule_of_the_table_is_one_of_ruffs() -> None:
    """A renamed or removed rule is noticed."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "rule", "--all", "--output-format", "json"],
        capture_output=True,
        check=True,
    )
    known = {rule["code"]: rule for rule in json.loads(done.stdout)}
    assert RULES.keys() <= known.keys()
    assert not [code for code in RULES if "Removed" in str(known[code].get("status"))]
    assert RULES.keys() >= IN_TESTS_IGNORED


@pytest.mark.parametrize("name", sorted(FRAMEWORK_DEFAULTS)[:4])
def test_a_frameworks_default_is_no_mutable_default(name: str) -> None:
    """`def f(x=Depends(...))` is how it is written."""
    assert "B008" not in rules_of(f"from lib import {name}\ndef f(x={name}(1)):\n    return x\n")
    assert "B008" in rules_of("from lib import now\ndef f(x=now()):\n    return x\n")


def test_bandit_and_ruff_do_not_say_the_same_twice() -> None:
    """One line, one security finding."""
    assert rules_of("def f(c):\n    return eval(c)\n") == ["S307"]


def test_a_program_that_does_not_run_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bandit the review is partial, and says which files it is about."""
    monkeypatch.setattr(bandit, "seconds_for", lambda deadline: 0.0001)
    report = review(TextSource("a = 1\n", "m.py"), ReviewOptions(), None)
    assert report.state == "partial"
    assert report.gaps[0].reason == "bandit could not run: TimeoutExpired"


def test_code_for_a_newer_python_is_no_syntax_error() -> None:
    """What ruff's parser accepts and this Python does not is said not to be checked."""
    if sys.version_info >= (3, 14):
        newer = "x = 1\n"  # nothing is newer than this Python; the text is only parsed
        assert review(TextSource(newer, "m.py"), ReviewOptions(), None).state == "clean"
        return
    report = review(TextSource("x = t'{y}'\ny = 1\n", "m.py"), ReviewOptions(), None)
    assert not [item for item in report.findings if item.rule == "syntax"]
    assert report.state == "partial"


def test_a_number_beyond_the_compilers_limit_is_said_as_what_it_is() -> None:
    """5,000 digits are valid: the reason names the limit, and the other findings of the file are there."""
    text = f"import subprocess\n\nx = {'9' * 5000}\nsubprocess.run('x', shell=True)\n"
    report = review(TextSource(text, "m.py"), ReviewOptions(), None)
    assert report.state == "partial"
    assert "Exceeds the limit" in report.gaps[0].reason
    assert "S602" in {item.rule for item in report.findings}


def test_the_oldest_python_of_the_project_decides() -> None:
    """`requires-python` of the base is what ruff is told."""
    assert ruff.target_of(">=3.9") == "py39"
    assert ruff.target_of("~=2.7") == ""
    text = '[project]\nrequires-python = ">=3.8"\n'
    new = {
        "pyproject.toml": text,
        "m.py": "def f(x):\n    match x:\n        case 1:\n            return 2\n    return 3\n",
    }
    report = review(VersionsSource({"pyproject.toml": text}, new), ReviewOptions(), None)
    assert [item.rule for item in report.findings] == ["syntax"]


def test_a_fixed_password_is_fine_in_a_test() -> None:
    """The same line in the product is not."""
    assert rules_of("password = 'hunter2hunter'\n", "tests/test_m.py") == []
    assert rules_of("password = 'hunter2hunter'\n", "m.py") == ["S105"]


def test_only_wanted_classes_are_reported() -> None:
    """`categories` filters."""
    report = review(
        TextSource("import os\ndef f(c):\n    return eval(c)\n", "m.py"),
        ReviewOptions(categories=frozenset({"security"})),  # type: ignore[arg-type]  # the enum is a string
        None,
    )
    assert [item.rule for item in report.findings] == ["S307"]


def test_ruff_sees_no_settings_of_the_tree(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ruff.toml in the current folder switches nothing off."""
    (tmp_path / "ruff.toml").write_text("[lint]\nselect = []\n")
    monkeypatch.chdir(tmp_path)
    candidates = ruff.run([Subject("m.py", "python", "import os\n")]).candidates[0]
    assert [candidate.rule for candidate in candidates] == ["F401"]


@pytest.mark.parametrize(
    ("wrong", "words"), [({"lang": "fr"}, "lang:"), ({"size": "huge"}, "size:"), ({"window": 9}, "window:")]
)
def test_a_wrong_option_is_named(wrong: dict[str, object], words: str) -> None:
    """Options are refused by name."""
    with pytest.raises(ValueError, match=words):
        ReviewOptions(**wrong)  # type: ignore[arg-type]  # wrong on purpose
