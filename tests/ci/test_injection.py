"""Injection: two hundred hostile texts in every place that a stranger writes. No canary leaves, nothing unapproved is written.

A text stands in commit messages, code, file names, branch names, comments, titles and bodies. Allowed are the writes that the same
change would have had without it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from bench.triage.issues import LABELS
from tests.ci.hostile import CANARY, COMMANDS, NAMES, TEXTS
from tests.ci.pipeline import BAD_CART, MAIN, Pipeline, Shop, kodo

from kodo.ci.artifact import FILES, Artifact, RunInfo
from kodo.ci.commands import parse_command
from kodo.ci.environment import read_change
from kodo.ci.forge import Issue, ListedFile, Pull
from kodo.ci.marker import is_review_comment, read_finding_marker
from kodo.ci.masking import Masker
from kodo.ci.policy import Policy, TriagePolicy
from kodo.ci.publication import ChangeState, plan
from kodo.ci.testing.github import FakeGitHub
from kodo.ci.triage.job import Knowledge, judge
from kodo.ci.triage.job import plan as plan_triage
from kodo.jobs.report.model import (
    Category,
    Evidence,
    EvidenceKind,
    Finding,
    Place,
    ReviewReport,
    Severity,
    State,
    Unreviewed,
)

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e0fff]")
"""Characters that hide or move others. U+2060 is kodo's own, behind an @."""
PULL = Pull(
    number=7, title="x", body="", author="ann", base_branch="main", base_sha="a" * 40, head_sha="b" * 40
)


def visible_parts(comment: str) -> str:
    """A comment without its first line (our marker), its code spans and its fences: what Markdown acts on."""
    text = comment.split("\n", 1)[1]
    text = re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def assert_harmless(comment: str) -> None:
    """Nothing in it mentions, links, draws, hides, closes a block of ours, or is a command to a forge."""
    assert not UNSEEN.search(comment)
    acting = visible_parts(comment)
    assert "<!--" not in acting
    assert not re.search(r"@(?:everyone|acme|attacker)", acting), "a mention"
    assert not re.search(r"(?<!\\)\]\(", acting), "a link or an image"
    assert not re.search(r"(?<!\\)<(?!/?(?:details|summary|sub)>)", acting), "HTML"
    assert not re.search(r"(?<![\\\w])#\d", acting), "a reference that closes"
    assert not re.search(r"^\s*/\w", acting, re.MULTILINE), "a quick action"
    assert "```suggestion" not in acting


def report_with(text: str) -> ReviewReport:
    """A report in which a stranger chose every text that he can choose."""
    finding = Finding(
        fingerprint="ab12cd34",
        rule="B006",
        category=Category.BUG,
        severity=Severity.WARNING,
        place=Place(text.replace("\n", " ")[:500] or "a.py", 2, 2),
        message=text,
        evidence=Evidence(EvidenceKind.EXECUTION, "both versions", text),
        code=text,
        definition=text,
    )
    named = msgspec.structs.replace(finding, place=Place("a.py", 2, 2), fingerprint="ab12cd35")
    return ReviewReport(
        state=State.PARTIAL,
        source=text,
        findings=(finding, named),
        unreviewed=(Unreviewed(text, text, True),),
        notes=(text,),
    )


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_text_in_a_report_is_only_shown(text: str) -> None:
    """In the one comment, in comments on lines and in the check; by the writes of any change, and no others."""
    from kodo.jobs.report.visible import make_visible

    report = make_visible(report_with(text))
    state = ChangeState(
        PULL, Policy(), files=[ListedFile(path="a.py", old_path="a.py", patch="@@ -1,1 +1,2 @@\n a\n+b")]
    )
    writes = plan(state, Artifact(RunInfo(base="a" * 40, head="b" * 40), report))
    assert [type(write).__name__ for write in writes] == ["AddLineComments", "SetCheck", "CreateComment"]
    comments = [writes[2].body, *(note.body for note in writes[0].notes)]  # type: ignore[union-attr]  # as just seen
    for comment in comments:
        assert_harmless(comment)
    assert is_review_comment(comments[0])
    assert read_finding_marker(comments[1]) in (("ab12cd34", False), ("ab12cd35", False))


@pytest.mark.parametrize("fill", [130, 1_390, 1_495, 1_499, 1_500, 2_990])
def test_a_text_that_is_cut_is_only_shown(fill: int) -> None:
    """A code span or an escape that a bound cuts through does not set free what was in it."""
    from kodo.jobs.report.visible import make_visible

    for evil in ("`@everyone <img src=x>` `a", "@everyone ![x](http://x)", "\\[x](y)", "``@everyone` <b>"):
        report = make_visible(report_with("x" * fill + evil + "y" * 3_000))
        state = ChangeState(
            PULL, Policy(), files=[ListedFile(path="a.py", old_path="a.py", patch="@@ -1,1 +1,2 @@\n a\n+b")]
        )
        writes = plan(state, Artifact(RunInfo(base="a" * 40, head="b" * 40), report))
        for body in (writes[2].body, *(note.body for note in writes[0].notes)):  # type: ignore[union-attr]  # as above
            assert_harmless(body)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_text_in_a_report_is_no_workflow_command(text: str) -> None:
    """Every line of annotations and of compiler messages is ours; the files stay what they are."""
    report = report_with(text)
    lines = FILES["annotations.txt"](report).splitlines()
    assert all(re.match(r"::(?:error|warning|notice) (?:file|title)=", line) for line in lines)
    assert len(lines) == 3, "two findings, one gap"
    for name in ("report.json", "kodo.sarif", "rdjson.json", "codequality.json"):
        json.loads(FILES[name](report))


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_text_in_an_issue_moves_nothing(text: str) -> None:
    """Title, body and a template's headings: a label is by description only, an assignment by paths, one comment at most."""
    policy = Policy(triage=TriagePolicy(actions=("label", "comment", "assign")))
    body = "The restore aborts with a traceback."
    old = Issue(number=1, title="Restore aborts " + text, body=body, author="x")
    knowledge = Knowledge(LABELS, [old], codeowners="*.secret @attacker\n")
    plain = judge(Issue(number=2, title="Restore aborts", body=body, author="x"), knowledge, policy)
    issue = Issue(number=2, title="Restore aborts", body=f"{body}\n\n{text}", author="x")
    told = judge(issue, knowledge, policy)
    assert told.label is not None
    assert plain.label is not None
    assert told.label.label == plain.label.label == "bug"
    assert told.owners == ()
    for write in plan_triage(issue, told, policy):
        assert type(write).__name__ in ("AddLabels", "CreateComment")
        if hasattr(write, "body"):
            assert_harmless(write.body.replace("- #1 ", "- "))  # the similar issue, named by us


@pytest.mark.parametrize(
    "text", [*TEXTS, *(f"/kodo {text}" for text in COMMANDS)], ids=range(len(TEXTS) + len(COMMANDS))
)
def test_a_text_is_no_command(text: str) -> None:
    """Also behind the command's name."""
    assert parse_command(text) is None
    assert parse_command(f"/kodo ignore {text}") is None


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_text_in_an_event_is_data(text: str, tmp_path: Path) -> None:
    """As title, branch, label and repository name of an event: no value is anything but itself."""
    side = {"sha": "a" * 40, "ref": text, "repo": {"full_name": text}}
    pull = {"number": 7, "title": text, "body": text, "base": side, "head": side, "labels": [{"name": text}]}
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"pull_request": pull}))
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(file)}
    change = read_change(environ)
    assert (change.number, change.base, change.target, change.labels) == (7, "a" * 40, text, (text,))


@pytest.fixture
def pipeline(shop: Shop, github: FakeGitHub, tmp_path: Path) -> Pipeline:
    return Pipeline(shop, github, tmp_path)


def test_everything_at_once_end_to_end(pipeline: Pipeline, tmp_path: Path) -> None:
    """All hostile texts in one change: file names, code, commit messages, the branch, the title, comments that copy our markers.

    Job 1 runs with a canary among its secrets, job 2 with another. Neither is in any file, output or call; what is written is what any change has
    written; nothing was made beside it.
    """
    shop = pipeline.shop
    names = {f"shop/{name}.py": BAD_CART.replace("add", f"add{at}") for at, name in enumerate(NAMES)}
    code = "".join(
        f'\n\ndef text{at}(x=[]):\n    """{json.dumps(text)[1:-1]}"""\n    return x\n'
        for at, text in enumerate(TEXTS)
    )
    shop.commit("\n".join(TEXTS).replace("\0", ""), {**names, "shop/text.py": MAIN["shop/text.py"] + code})
    pipeline.push(
        owner="stranger",
        author="stranger",
        title=TEXTS[0],
        labels=[text for text in TEXTS if "\n" not in text][:20],
    )
    for text in TEXTS:
        pipeline.github.say(7, "stranger", text)
    pipeline.github.say(7, "github-actions-bot", "<!-- kodo:review:v1 AAAA -->\nfake", kind="Bot")
    before = set(tmp_path.parent.iterdir())
    environ = {"DEPLOY_TOKEN": CANARY, "GITHUB_ENV": str(tmp_path / "env"), "GITHUB_OUTPUT": str(tmp_path / "output"),
               "GITHUB_PATH": str(tmp_path / "path")}  # fmt: skip  # one row
    done = pipeline.review(**environ)
    assert done.returncode in (1, 3), done.stderr
    assert not any((tmp_path / name).exists() for name in ("env", "output", "path")), (
        "no environment file is written"
    )
    assert all(line.startswith("::") for line in done.stdout.splitlines())
    pipeline.written()
    reported = pipeline.report()
    assert reported.returncode == 0, reported.stderr
    assert pipeline.written() == ["POST pulls/7/reviews", "POST check-runs", "POST issues/7/comments"]
    for row in (*pipeline.github.rows.line_comments, {"body": pipeline.sticky}):
        assert_harmless(row["body"])
    out = [done.stdout, done.stderr, reported.stdout, reported.stderr, pipeline.sticky]
    out += [file.read_text() for file in (tmp_path / "artifact").iterdir()]
    assert not any(CANARY in text for text in out)
    assert set(tmp_path.parent.iterdir()) == before, "nothing was made beside the test's folder"
    assert not Path("/tmp/owned").exists()


def test_a_label_is_no_workflow_command(pipeline: Pipeline) -> None:
    """Its text is in the reason of a skipped review, on one line of the log."""
    label = "no-kodo\n::error::fake"
    pipeline.shop.git("checkout", "-q", "main")
    policy = MAIN["pyproject.toml"] + f"\n[tool.kodo.ci]\nskip_labels = {json.dumps([label])}\n"
    pipeline.shop.commit("policy", {"pyproject.toml": policy})
    pipeline.shop.git("checkout", "-q", "-B", "work", "main")
    pipeline.shop.commit("add", {"shop/cart.py": BAD_CART})
    pipeline.push(labels=[label])
    done = pipeline.review()
    assert "not reviewed" in done.stderr
    assert not re.search(r"^::", done.stderr, re.MULTILINE)


def test_a_canary_in_code_is_masked(pipeline: Pipeline) -> None:
    """Code that holds the value of a secret variable is quoted without it, in every file and comment."""
    bad = BAD_CART.replace('"""Put an item in."""', f'"""{CANARY}"""').replace(
        "cart=[]", f'cart=["{CANARY}"]'
    )
    pipeline.shop.commit("leak", {"shop/cart.py": bad})
    pipeline.push()
    pipeline.review(DEPLOY_TOKEN=CANARY)
    pipeline.report()
    files = [file.read_text() for file in (pipeline.folder / "artifact").iterdir()]
    comments = [row["body"] for row in pipeline.github.rows.line_comments]
    assert not any(CANARY in text for text in (*files, *comments, pipeline.sticky))
    assert any("[masked" in text for text in files)


@pytest.mark.parametrize(
    "name", ["", "x", "-", "HEAD", "--upload-pack=x", "$(id)", "refs/heads/../../x", "a\nb", "main^{/x}"]
)
def test_a_revision_that_is_none_is_an_error(shop: Shop, name: str) -> None:
    """A branch name never becomes an option of git or part of a shell line."""
    done = kodo(shop.root, {"KODO_CI_BASE": "main", "KODO_CI_HEAD": name}, "ci", "review")
    assert done.returncode in (0, 2)
    if name not in ("", "HEAD"):
        assert "no commit is named" in done.stderr or "could not review" in done.stderr


def test_masking_is_literal_and_by_form() -> None:
    """Variables that are not secret by name stay; short values too, or ordinary words would go."""
    masker = Masker({"API_KEY": CANARY, "HOME": "/home/ann", "TOKEN": "short"})
    assert masker.text(f"{CANARY} /home/ann short") == "[masked secret] /home/ann short"
