"""``/kodo fix`` on a fake GitHub, end to end: the command, the job that proves a fix, the draft that is opened, and every limit."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bench.fix.faults import FAULTS
from bench.fix.models import GOOD, Model, reply
from tests.ci.pipeline import Pipeline, Shop, kodo
from tests.ci.test_commands import COMMENT, comment
from tests.ci.test_publication import AGAIN
from tests.ci.test_triage import connected, run

from kodo.ci.artifact import ArtifactError
from kodo.ci.environment import FixEvent
from kodo.ci.fix_artifact import MAX_FILES, FixArtifact, read_fix, write_fix
from kodo.ci.fix_publication import publish_fix
from kodo.ci.marker import read_review_marker
from kodo.ci.masking import Masker
from kodo.ci.publisher import look_again
from kodo.ci.testing.github import BOT_ID, REPOSITORY, FakeGitHub
from kodo.ci.testing.server import Fault
from kodo.ci.writes import FixedFile
from kodo.client.testing import FakeResponses
from kodo.jobs.fix import FixReport, Verdict

FAULT = next(fault for fault in FAULTS if fault.name == "percent")
PATCHES = Model(
    "patches", lambda fault: (call for call in next(iter(GOOD)).script(fault) if call[0] == "apply_patch")
)
"""The good model without the calls that a fix does not need."""
POLICY = '[project]\nname = "shop"\nversion = "1"\n[tool.kodo.ci.fix]\nmodel = true\n'
RUN = 77


def issue_row(**more: Any) -> dict[str, Any]:
    row = {
        "title": "Wrong result",
        "body": f"{FAULT.issue}\n\n@everyone ```x```",
        "state": "open",
        "labels": [],
        "author": "bob",
    }
    return row | more


@pytest.fixture
def faulty(github: FakeGitHub, shop: Shop) -> FakeGitHub:
    """A project with a fault and tests on main, and an issue about it."""
    shop.git("checkout", "-q", "main")
    passing = f"from {FAULT.name} import *\n\n\ndef test_before():\n    {FAULT.passing}\n"
    shop.commit(
        "fault",
        {"pyproject.toml": POLICY, f"{FAULT.name}.py": FAULT.faulty, f"tests/test_{FAULT.name}.py": passing},
    )
    github.rows.issues = {12: issue_row()}
    github.rows.permissions = {"ann": "write", "bob": "read"}
    return github


def command(
    body: str, login: str = "ann", number: int = 12, *, pull: bool = False, kind: str = "User"
) -> dict[str, Any]:
    made: dict[str, Any] = comment(body, login, pull=pull)
    made["issue"]["number"] = number
    made["comment"]["user"]["type"] = kind
    return made


def job(
    github: FakeGitHub, folder: Path, head: str, name: str, inputs: dict[str, str], token: str, **more: str
) -> tuple[int, str]:
    """One job of kodo-fix.yml; its exit code, and what it said."""
    file = folder.parent / "inputs.json"
    file.write_text(json.dumps({"inputs": inputs}))
    environ = {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": github.url, "GITHUB_TOKEN": token,
        "GITHUB_RUN_ID": str(RUN), "GITHUB_SHA": head, **more,
    }  # fmt: skip  # one row
    args = ("--artifact", str(folder.parent / "kodo-fix")) if name == "fix" else ()
    done = kodo(folder, environ, "ci", name, *args)
    return done.returncode, done.stdout + done.stderr


def upload(github: FakeGitHub, folder: Path, run_id: int = RUN) -> None:
    """The artifact of the first job, as GitHub keeps it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(folder / "kodo-fix" / "fix.json", "fix.json")
    github.add_artifact(run_id, "kodo-fix", buffer.getvalue())


def test_an_issue_is_fixed_by_command(faulty: FakeGitHub, shop: Shop, tmp_path: Path) -> None:
    """A person with write access asks; a scripted model fixes; what was proven becomes a draft, once, and nothing else."""
    written, _ = run(faulty, tmp_path, command("/kodo fix"), "command")
    assert written == ["POST actions/workflows/kodo-fix.yml/dispatches"]
    [dispatch] = faulty.rows.dispatches
    inputs = {"number": "12", "finding": "", "command": str(COMMENT)}
    assert dispatch == {"workflow": "kodo-fix.yml", "ref": "main", "inputs": inputs}

    faulty.calls.clear()
    with FakeResponses(lambda seen: reply(PATCHES, FAULT, seen)) as model:
        more = {"KODO_BASE_URL": model.base_url, "OPENAI_API_KEY": "x"}
        status, said = job(faulty, shop.root, shop.base, "fix", dispatch["inputs"], "job-1", **more)
    assert (status, faulty.writes()) == (0, []), said
    assert (shop.git("status", "--porcelain"), shop.git("worktree", "list").count("\n")) == ("", 0)
    assert all("job-2" not in str(seen.body) for seen in model.requests)

    upload(faulty, tmp_path)
    empty = tmp_path / "nothing-here"
    empty.mkdir()
    status, said = job(faulty, empty, shop.base, "open-fix", dispatch["inputs"], "job-2")
    assert status == 0, said
    made = [f"{call.method} {call.path.removeprefix(f'/repos/{REPOSITORY}/')}" for call in faulty.writes()]
    assert made == [
        "POST git/trees",
        "POST git/commits",
        "POST git/refs",
        "POST pulls",
        "POST issues/12/comments",
    ]
    [commit] = faulty.rows.commits.values()
    assert commit["parents"] == [shop.base]
    tree = {entry["path"]: entry["content"] for entry in faulty.rows.trees[commit["tree"]]}
    assert tree[f"{FAULT.name}.py"].rstrip() == FAULT.source.rstrip()
    assert all(path == f"{FAULT.name}.py" or path.startswith("tests/") for path in tree)
    [pull] = faulty.rows.pulls.values()
    assert (pull["draft"], pull["branch"], pull["into"], pull["title"]) == (
        True,
        f"kodo/fix-12-{RUN}",
        "main",
        "Fix #12",
    )
    assert "✅ proven" in pull["body"]
    assert "@everyone" not in pull["body"]
    [said_there] = faulty.rows.comments
    assert (said_there["issue"], said_there["user"]) == (12, BOT_ID)
    assert f"`kodo/fix-12-{RUN}`" in said_there["body"]

    faulty.calls.clear()
    status, said = job(faulty, empty, shop.base, "open-fix", dispatch["inputs"], "job-2")
    assert (status, faulty.writes()) == (0, []), "the run again"


LOST = [Fault("POST", "", 502, after=True), Fault("POST", "", 500), Fault("POST", "", cut=True, after=True)]


@pytest.mark.parametrize("path", ["/git/trees$", "/git/refs$", "/pulls$", "/comments$"])
@pytest.mark.parametrize("fault", LOST)
def test_a_fix_is_opened_once_when_an_answer_is_lost(
    faulty: FakeGitHub, shop: Shop, tmp_path: Path, path: str, fault: Fault
) -> None:
    """One branch, one draft, one comment; a second run that the same command started adds nothing."""
    (tmp_path / "kodo-fix").mkdir()
    write_fix(tmp_path / "kodo-fix", fix_of(shop.base, FixedFile("a.py", "x = 1\n")))
    for run_id in (RUN, RUN + 1):
        upload(faulty, tmp_path, run_id)
    forge = connected(faulty)
    faulty.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    for run_id in (RUN, RUN, RUN + 1):
        event = FixEvent(12, "", run_id, shop.base, COMMENT)
        look_again("open", lambda event=event: publish_fix(forge, event, Masker({})), AGAIN)  # type: ignore[misc]  # bound at once
    [pull] = faulty.rows.pulls.values()
    assert list(faulty.rows.branches) == [pull["branch"]] == [f"kodo/fix-12-{RUN}"]
    assert len(faulty.rows.comments) == 1


def test_a_finding_is_fixed_without_a_model(pipeline: Pipeline, tmp_path: Path) -> None:
    """By its identifier in the comment; the draft goes into the change's own branch."""
    github, shop = pipeline.github, pipeline.shop
    marker = read_review_marker(pipeline.sticky)
    assert marker is not None
    finding = next(item for item in marker.open if item.rule == "B006")
    short = finding.fingerprint[:8]
    assert f"`{short}`" in pipeline.sticky
    written, _ = run(github, tmp_path, command(f"/kodo fix {short}", number=7, pull=True), "command")
    assert written == ["POST actions/workflows/kodo-fix.yml/dispatches"]
    inputs = github.rows.dispatches[0]["inputs"]
    shop.git("checkout", "-q", "main")
    status, said = job(github, shop.root, shop.base, "fix", inputs, "job-1")
    assert status == 0, said
    upload(github, tmp_path)
    status, said = job(github, tmp_path, shop.base, "open-fix", inputs, "job-2")
    assert status == 0, said
    made = github.rows.pulls[max(github.rows.pulls)]
    assert (made["into"], made["draft"]) == ("work", True)
    [commit] = github.rows.commits.values()
    assert commit["parents"] == [shop.head]
    [entry] = github.rows.trees[commit["tree"]]
    assert "cart=None" in entry["content"]


@pytest.mark.parametrize(
    "event",
    [
        command("/kodo fix", "bob"),
        command("/kodo fix", "stranger"),
        command("/kodo fix", "ann", kind="Bot"),
        command("/kodo review", "ann"),
        command("/kodo fix; rm -rf /", "ann"),
        command("please\n/kodo fix", "ann"),
        command("/kodo fix 1234abcd", "ann"),
    ],
    ids=["reader", "stranger", "bot", "review", "shell", "second-line", "finding-on-issue"],
)
def test_anybody_else_starts_nothing(faulty: FakeGitHub, tmp_path: Path, event: dict[str, Any]) -> None:
    """By GitHub's word on the account; a bot's comment never, and no other command on an issue."""
    written, said = run(faulty, tmp_path, event, "command")
    assert (written, "not obeyed" in said) == ([], True)


@pytest.mark.parametrize("limit", ["closed", "skip-label", "no-label", "attempts", "open"])
def test_a_limit_is_said_and_starts_nothing(
    faulty: FakeGitHub, shop: Shop, tmp_path: Path, limit: str
) -> None:
    """By label and by count; the answer says which."""
    words = {"closed": "closed", "skip-label": "no-kodo", "no-label": "none of the labels fix-me", "attempts": "3 attempts",
             "open": "3 requests with fixes"}  # fmt: skip  # one row
    if limit == "closed":
        faulty.rows.issues[12] = issue_row(state="closed")
    elif limit == "skip-label":
        faulty.rows.issues[12] = issue_row(labels=["no-kodo"])
    elif limit == "no-label":
        shop.commit("policy", {"pyproject.toml": POLICY + 'labels = ["fix-me"]\n'})
    elif limit == "attempts":
        for at in range(3):
            faulty.say(12, "github-actions[bot]", f"<!-- kodo:fix:v1 {at} -->\nNo fix was proven.")
        faulty.say(12, "bob", "<!-- kodo:fix:v1 9 -->\nnot ours")
    else:
        for at in range(20, 23):
            faulty.open_pull(at, base=shop.base, head=shop.base, branch=f"kodo/fix-{at}-1")
        faulty.open_pull(30, base=shop.base, head=shop.base, branch="kodo/fix-30-1", owner="stranger")
    written, _ = run(faulty, tmp_path, command("/kodo fix"), "command")
    assert written == ["POST issues/12/comments"]
    assert words[limit] in faulty.rows.comments[-1]["body"]
    status, said = job(faulty, shop.root, shop.base, "fix", {"number": "12"}, "job-1")
    assert (status, words[limit] in said) == (3, True), "also where the pipeline is started by hand"


def test_a_fork_is_not_fixed(pipeline: Pipeline, tmp_path: Path) -> None:
    """Its branch is not ours to write to."""
    pipeline.push(owner="stranger", author="stranger")
    marker = read_review_marker(pipeline.sticky)
    assert marker is not None
    asked = command(f"/kodo fix {marker.open[0].fingerprint[:8]}", number=7, pull=True)
    written, _ = run(pipeline.github, tmp_path, asked, "command")
    assert written == ["POST issues/7/comments"]
    assert "from a fork" in pipeline.github.rows.comments[-1]["body"]
    unknown = command("/kodo fix 0123abcd", number=7, pull=True)
    unknown["comment"]["id"] = COMMENT + 1
    pipeline.push()
    run(pipeline.github, tmp_path, unknown, "command")
    assert "name an open finding" in pipeline.github.rows.comments[-1]["body"]


def test_without_a_proof_nothing_is_opened(faulty: FakeGitHub, shop: Shop, tmp_path: Path) -> None:
    """No model and an issue in words: one comment says so."""
    shop.commit("policy", {"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n'})
    status, said = job(faulty, shop.root, shop.base, "fix", {"number": "12"}, "job-1")
    assert (status, "fix: not proven" in said) == (3, True), said
    upload(faulty, tmp_path)
    job(faulty, tmp_path, shop.base, "open-fix", {"number": "12"}, "job-2")
    assert [call.path.rpartition("/")[2] for call in faulty.writes()] == ["comments"]
    assert "No fix was proven." in faulty.rows.comments[-1]["body"]


PROVEN = FixReport(run="r", verdict=Verdict.PROVEN, patch="x")


def fix_of(head: str, *files: FixedFile) -> FixArtifact:
    return FixArtifact(base=head, report=PROVEN, files=files or (FixedFile("a.py", "x = 1\n"),))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "left no result"),
        ("garbage", "refused"),
        ("moved", "newer commit"),
        ("pipeline", "would change the pipeline"),
        ("path", "refused"),
        ("git", "refused"),
        ("many", "refused"),
    ],
)
def test_an_artifact_that_cannot_be_believed_opens_nothing(
    faulty: FakeGitHub, shop: Shop, tmp_path: Path, what: str, said: str
) -> None:
    """The comment says why; no branch is made."""
    made = {
        "moved": fix_of("f" * 40),
        "pipeline": fix_of(shop.base, FixedFile(".github/workflows/x.yml", "on: push\n")),
        "path": fix_of(shop.base, FixedFile("../x", "")),
        "git": fix_of(shop.base, FixedFile("a/.git/config", "")),
        "many": fix_of(shop.base, *(FixedFile(f"{at}.py", "") for at in range(MAX_FILES + 1))),
    }
    if what == "garbage":
        faulty.add_artifact(RUN, "kodo-fix", b"PK not a zip")
    elif what != "none":
        write_fix(tmp_path / "kodo-fix", made[what])
        upload(faulty, tmp_path)
    status, out = job(faulty, tmp_path, shop.base, "open-fix", {"number": "12"}, "job-2")
    assert status == 0, out
    assert (faulty.rows.branches, len(faulty.rows.comments)) == ({}, 1)
    assert said in faulty.rows.comments[0]["body"]


@pytest.mark.parametrize("path", ["/etc/x", "a/../b", "", "a//b", "./a", "a\u202eb", "x\ny", ".git/hooks/x"])
def test_paths_of_a_fix_are_plain(tmp_path: Path, path: str) -> None:
    """Inside the repository, and not git's own."""
    write_fix(tmp_path, fix_of("a" * 40, FixedFile(path, "x")))
    with pytest.raises(ArtifactError):
        read_fix(tmp_path)


@pytest.mark.parametrize("number", ["0", "-1", "1; id", "", "99999999999", "１２"])
def test_inputs_that_are_no_number_are_refused(
    faulty: FakeGitHub, shop: Shop, tmp_path: Path, number: str
) -> None:
    """Before anything is asked."""
    status, said = job(faulty, shop.root, shop.base, "fix", {"number": number}, "job-1")
    assert (status, "number" in said, faulty.calls) == (2, True, [])
