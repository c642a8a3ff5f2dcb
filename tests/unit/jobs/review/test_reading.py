"""Sources are read right and safely: from git in every state, from diffs with and without a tree, from folders."""

import os
import subprocess
from pathlib import Path

import pytest

from kodo.jobs.report.formats import FORMATS
from kodo.jobs.review import (
    BaseSource,
    CommitSource,
    DiffSource,
    PathsSource,
    ReviewOptions,
    StagedSource,
    TextSource,
    VersionsSource,
    review,
)
from kodo.jobs.review.git import Repository
from kodo.jobs.review.reading import ReviewInput, SourceError, read

MOST = 1_000_000


def git(root: Path, *args: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *settings, *args], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "m.py").write_text("def f(x):\n    return x\n")
    (root / "old.py").write_text("a = 1\nb = 2\nc = 3\nd = 4\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    return root


def paths(material: ReviewInput) -> dict[str, set[int]]:
    return {file.path: set(file.added) for file in material.files}


def test_staged_changes_are_read_from_the_index(repo: Path) -> None:
    """What is in the work tree and not staged is not part of it."""
    (repo / "m.py").write_text("def f(x):\n    y = x\n    return y\n")
    git(repo, "add", "m.py")
    (repo / "m.py").write_text("something else\n")
    material = read(StagedSource(repo), MOST)
    assert paths(material) == {"m.py": {2, 3}}
    assert material.files[0].before == "def f(x):\n    return x\n"


def test_staged_changes_before_the_first_commit(tmp_path: Path) -> None:
    """A new repository without a commit can be reviewed."""
    git(tmp_path, "init", "-q")
    (tmp_path / "m.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    assert paths(read(StagedSource(tmp_path), MOST)) == {"m.py": {1}}


def test_a_branch_is_compared_with_where_it_left(repo: Path) -> None:
    """What the base branch did meanwhile is not part of it."""
    git(repo, "switch", "-qc", "work")
    (repo / "m.py").write_text("def f(x):\n    return x + 1\n")
    git(repo, "commit", "-qam", "two")
    git(repo, "switch", "-q", "main")
    (repo / "old.py").write_text("changed = 1\n")
    git(repo, "commit", "-qam", "three")
    git(repo, "switch", "-q", "work")
    assert paths(read(BaseSource("main", repo), MOST)) == {"m.py": {2}}


def test_a_commit_is_compared_with_its_parent(repo: Path) -> None:
    """A commit in the middle, the first one, and a renamed file."""
    git(repo, "mv", "old.py", "new.py")
    (repo / "new.py").write_text("a = 1\nb = 2\nc = 3\nd = 5\n")
    git(repo, "commit", "-qam", "two")
    material = read(CommitSource("HEAD", repo), MOST)
    assert paths(material) == {"new.py": {4}}
    assert material.files[0].old_path == "old.py"
    assert paths(read(CommitSource("HEAD~1", repo), MOST)) == {"m.py": {1, 2}, "old.py": {1, 2, 3, 4}}


def test_a_clone_that_lacks_a_large_file_is_reviewed_without_it(repo: Path) -> None:
    """Partial copies leave out what is large; what the change touches is there."""
    (repo / "data.bin").write_text("x" * 100)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "two")
    (repo / "m.py").write_text("def f(x):\n    return x + 1\n")
    git(repo, "commit", "-qam", "three")
    blob = git(repo, "rev-parse", "HEAD:data.bin").strip()
    (repo / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert set(Repository(repo).tree("HEAD")) == {"m.py", "old.py"}
    report = review(CommitSource("HEAD", repo), ReviewOptions(run=True, fixes=False), None)
    assert "kodo/behaviour-changed" in {one.rule for one in report.findings}


def test_names_of_every_kind_are_read(repo: Path) -> None:
    """Blanks, quotes, tabs and letters of other scripts in a path do no harm."""
    names = ["a b.py", 'q"uote.py', "tab\t.py", "日本.py", "-dash.py", "b/../x.py".replace("../", "dots..")]
    for name in names:
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("x = 1\n")
    git(repo, "add", ".")
    assert set(paths(read(StagedSource(repo), MOST))) == set(names)


def test_a_name_that_is_no_text_can_be_reported(repo: Path) -> None:
    """Bytes that are no UTF-8 are shown as escapes in every output."""
    name = os.fsdecode(b"caf\xe9.py")
    (repo / name).write_text("def f(x=[]):\n    return x\n")
    git(repo, "add", ".")
    report = review(StagedSource(repo), ReviewOptions(fixes=False), None)
    assert [item.place.path for item in report.findings] == ["caf\\xe9.py"]
    assert all(render(report) for render in FORMATS.values())


def test_what_cannot_be_reviewed_is_listed_with_its_reason(repo: Path) -> None:
    """Binary, deleted, linked and unknown files are named; only code that was missed is a gap."""
    (repo / "p.png").write_bytes(b"\x89PNG\0\0")
    (repo / "a.rb").write_text("puts 1\n")
    (repo / "link.py").symlink_to("/etc/passwd")
    (repo / "latin.py").write_bytes(b"# \xe9\n")
    (repo / "notes.md").write_text("hello\n")
    (repo / "big.py").write_text("x = 1\n" * 100)
    git(repo, "rm", "-q", "old.py")
    git(repo, "add", ".")
    material = read(StagedSource(repo), 500)
    listed = {item.path: (item.reason, item.gap) for item in material.unreviewed}
    assert listed == {
        "p.png": ("binary", False),
        "a.rb": ("no analyser for Ruby", True),
        "link.py": ("symbolic link", False),
        "latin.py": ("not UTF-8", True),
        "notes.md": ("not code", False),
        "big.py": ("larger than 500 bytes", True),
        "old.py": ("deleted", False),
    }
    assert not material.files


def test_what_a_minifier_made_is_left_out(repo: Path) -> None:
    """By its shape, whatever it is called: a script that somebody wrote is reviewed, also as ``x.min.js``."""
    statement = "try{a()}catch(e){}"
    (repo / "vendored.js").write_text("/*! a library */\n" + statement * 200)
    (repo / "written.min.js").write_text("\n".join([statement] * 200) + "\n")
    (repo / "short.js").write_text(statement)
    git(repo, "add", ".")
    material = read(StagedSource(repo), MOST)
    assert {item.path: (item.reason, item.gap) for item in material.unreviewed} == {
        "vendored.js": ("minified", False)
    }
    assert {file.path for file in material.files} == {"written.min.js", "short.js"}


def test_programs_of_the_repository_never_run(repo: Path, tmp_path: Path) -> None:
    """Neither its external diff, its text conversion, its monitor nor its hooks are started."""
    trap = tmp_path / "ran"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch '{trap}'\n")
    script.chmod(0o755)
    for key in (
        "diff.external",
        "core.fsmonitor",
        "diff.x.textconv",
        "diff.x.command",
        "core.pager",
        "filter.x.smudge",
    ):
        git(repo, "config", key, str(script))
    (repo / ".gitattributes").write_text("*.py diff=x filter=x\n")
    (repo / "m.py").write_text("def f(x):\n    return x + 1\n")
    for hook in (repo / ".git" / "hooks", repo / ".git"):
        hook.mkdir(exist_ok=True)
    (repo / ".git" / "hooks" / "post-index-change").write_text(script.read_text())
    (repo / ".git" / "hooks" / "post-index-change").chmod(0o755)
    subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "add", "."],
        cwd=repo,
        check=True,
    )
    trap.unlink(missing_ok=True)
    assert "m.py" in paths(read(StagedSource(repo), MOST))
    read(CommitSource("HEAD", repo), MOST)
    read(PathsSource((repo,), repo), MOST)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["--output=x", "no-such-branch", "HEAD~99", "", "main..HEAD"])
def test_a_revision_that_does_not_exist_is_named(repo: Path, name: str) -> None:
    """It is no option and no crash, but one clear line; nothing is written."""
    with pytest.raises(SourceError, match="no commit is named"):
        read(BaseSource(name, repo), MOST)
    assert not (repo / "x").exists()


def test_outside_of_a_repository_is_an_error(tmp_path: Path) -> None:
    """git's own words are handed on."""
    with pytest.raises(SourceError, match="not a git repository"):
        read(StagedSource(tmp_path), MOST)


DIFF = "--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,3 @@\n def f(x):\n-    return x\n+    y = x\n+    return y\n"
BEFORE, AFTER = "def f(x):\n    return x\n", "def f(x):\n    y = x\n    return y\n"


@pytest.mark.parametrize("state", [BEFORE, AFTER], ids=["tree is before", "tree is after"])
def test_a_diff_finds_out_in_which_state_the_tree_is(tmp_path: Path, state: str) -> None:
    """Either way the same lines are under review, with both texts known."""
    (tmp_path / "m.py").write_text(state)
    (file,) = read(DiffSource(DIFF, tmp_path), MOST).files
    assert (file.before, file.after, set(file.added)) == (BEFORE, AFTER, {2, 3})


def test_a_diff_without_its_tree_is_partial() -> None:
    """Only the lines of the diff are known, and the report says so."""
    report = review(DiffSource(DIFF), ReviewOptions(), None)
    assert report.state == "partial"
    assert "only the lines of the diff" in report.gaps[0].reason


def test_a_new_file_in_a_diff_needs_no_tree() -> None:
    """All of it stands in the diff."""
    diff = "--- /dev/null\n+++ b/n.py\n@@ -0,0 +1,2 @@\n+def f(x=[]):\n+    return x\n"
    report = review(DiffSource(diff), ReviewOptions(), None)
    assert [(item.rule, item.place.line) for item in report.findings] == [("B006", 1)]


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd"])
def test_a_diff_cannot_lead_outside_of_the_root(tmp_path: Path, path: str) -> None:
    """A path that leaves the project is not read."""
    diff = f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"
    material = read(DiffSource(diff, tmp_path), MOST)
    assert not material.files or not material.files[0].complete
    assert "root:" not in "".join(file.after for file in material.files)


def test_a_linked_folder_does_not_lead_outside_either(tmp_path: Path) -> None:
    """A symbolic link inside of the root is not followed out of it."""
    (tmp_path / "root").mkdir()
    (tmp_path / "m.py").write_text("def f(x):\n    y = x\n    return y\n")
    (tmp_path / "root" / "up").symlink_to(tmp_path)
    diff = DIFF.replace("m.py", "up/m.py")
    (file,) = read(DiffSource(diff, tmp_path / "root"), MOST).files
    assert not file.complete


@pytest.mark.parametrize(
    "text", ["hello\n", "@@ -1,9 +1,9 @@\n a\n", "--- a/m.py\n+++ b/m.py\n@@ -1,5 +1,5 @@\n a\n"]
)
def test_what_is_no_diff_fails(text: str) -> None:
    """The state is failed, with the reason, never clean."""
    report = review(DiffSource(text), ReviewOptions(), None)
    assert report.state == "failed"
    assert report.notes[0].startswith("diff:")


def test_an_empty_diff_is_skipped() -> None:
    """Nothing changed is not the same as clean."""
    assert review(DiffSource(""), ReviewOptions(), None).state == "skipped"


def test_folders_are_read_as_git_would(repo: Path) -> None:
    """Ignored files are left out, untracked ones are in."""
    (repo / ".gitignore").write_text("skipped/\n")
    (repo / "skipped").mkdir()
    (repo / "skipped" / "x.py").write_text("a = 1\n")
    (repo / "fresh.py").write_text("a = 1\n")
    assert set(paths(read(PathsSource((repo,), repo), MOST))) == {"fresh.py", "m.py", "old.py"}
    assert set(paths(read(PathsSource((repo / "skipped",), repo), MOST))) == {"skipped/x.py"}


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message has the name that was given."""
    with pytest.raises(SourceError, match=r"nope\.py: no such file"):
        read(PathsSource((Path("nope.py"),), tmp_path), MOST)


def test_lone_carriage_returns_are_a_gap() -> None:
    """A text whose lines git and Python would count differently is not reviewed."""
    report = review(TextSource("a = 1\rb = 2\n", "m.py"), ReviewOptions(), None)
    assert report.state == "partial"


def test_windows_line_ends_are_kept() -> None:
    """A file with CRLF is reviewed, and its lines are counted as git counts them."""
    report = review(
        TextSource("import os\r\ndef f(x=[]):\r\n    return y\r\n", "m.py"), ReviewOptions(), None
    )
    assert [(item.rule, item.place.line) for item in report.findings] == [
        ("F401", 1),
        ("B006", 2),
        ("F821", 3),
    ]


def test_settings_come_from_before_the_change(repo: Path) -> None:
    """A change cannot ignore its own rules, nor exclude its own files."""
    (repo / "pyproject.toml").write_text('[tool.kodo.review]\nignore = ["B006"]\nexclude = ["*"]\n')
    (repo / "m.py").write_text("def f(x=[]):\n    return x\n")
    git(repo, "add", ".")
    assert [item.rule for item in review(StagedSource(repo), ReviewOptions(), None).findings] == ["B006"]
    git(repo, "commit", "-qm", "settings")
    (repo / "m.py").write_text("def f(x={}):\n    return x\n")
    git(repo, "add", ".")
    assert review(StagedSource(repo), ReviewOptions(), None).state == "skipped"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.kodo.review]\nignored = []\n", "tool.kodo.review.ignored: no such setting"),
        ("[tool.kodo.review]\nignore = 1\n", "tool.kodo.review.ignore: a list of strings"),
        ("[tool", "pyproject.toml:"),
    ],
)
def test_wrong_settings_fail_with_the_key(text: str, words: str) -> None:
    """They are not passed over."""
    source = VersionsSource(
        {"pyproject.toml": text, "m.py": "a = 1\n"}, {"pyproject.toml": text, "m.py": "a = 2\n"}
    )
    report = review(source, ReviewOptions(), None)
    assert report.state == "failed"
    assert words in report.notes[0]


def test_what_ruff_is_told_to_ignore_is_ignored() -> None:
    """The project's own ignores, whole groups and those of single paths, hold."""
    text = '[tool.ruff.lint]\nignore = ["B0"]\n[tool.ruff.lint.per-file-ignores]\n"pkg/*" = ["F401"]\n'
    old = {"pyproject.toml": text}
    new = {
        "pyproject.toml": text,
        "pkg/m.py": "import os\ndef f(x=[]):\n    return x\n",
        "n.py": "import os\n",
    }
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert [(item.place.path, item.rule) for item in report.findings] == [("n.py", "F401")]
