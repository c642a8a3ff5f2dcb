"""What is planned for a report, lost answers, limits of time, and the policy; without git."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ci.pipeline import BAD_CART, MAIN, Shop
from tests.contract.forges import BASE, HEAD, PATCH, QUICK, GitHubCase

from kodo.ci.artifact import FILES, Artifact, RunInfo, read_artifact
from kodo.ci.change import Change, System
from kodo.ci.connection import connect
from kodo.ci.diff_lines import commentable_range, shown_lines
from kodo.ci.forge import ForgeError
from kodo.ci.http import LookAgainError
from kodo.ci.marker import MAX_OPEN, OpenFinding, ReviewMarker, read_review_marker, write_review_marker
from kodo.ci.masking import Masker
from kodo.ci.policy import Policy, PolicyError, parse_policy
from kodo.ci.publication import carry_out, plan, read_state
from kodo.ci.publisher import publish_safely
from kodo.ci.review_job import review_change
from kodo.ci.testing.github import FakeGitHub
from kodo.ci.testing.patches import patch_lines
from kodo.ci.testing.server import Fault
from kodo.ci.writes import AddLineComments, LineNote, RunReview, UpdateComment, Write
from kodo.client.retry import RetryPolicy
from kodo.jobs.execution.time_limit import OutOfTime, time_limit
from kodo.jobs.report.model import (
    Category,
    Evidence,
    EvidenceKind,
    Finding,
    Place,
    ReviewReport,
    Severity,
    State,
)

AGAIN = RetryPolicy(max_retries=3, base_delay=0.01, max_delay=0.02, retryable_exceptions=(LookAgainError,))


def finding(at: int, path: str = "src/a b.py", line: int = 2) -> Finding:
    return Finding(
        fingerprint=f"{at:08x}",
        rule="B006",
        category=Category.BUG,
        severity=Severity.WARNING,
        place=Place(path, line, line),
        message=f"finding {at}",
        evidence=Evidence(EvidenceKind.RULE, "ruff"),
    )


def artifact(*findings: Finding, state: State = State.FINDINGS, target: str = "") -> bytes:
    report = ReviewReport(state=state, source="x", findings=findings)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("report.json", FILES["report.json"](report))
        made.writestr("run.json", msgspec.json.encode(RunInfo(base="a" * 40, head="b" * 40, target=target)))
    return buffer.getvalue()


@pytest.fixture
def case() -> Iterator[GitHubCase]:
    with FakeGitHub() as fake:
        yield GitHubCase(fake)


@pytest.mark.parametrize("path", ["/reviews$", "/comments$", "/check-runs$"])
@pytest.mark.parametrize(
    "fault",
    [Fault("POST", "", 502, after=True), Fault("POST", "", 500), Fault("POST", "", cut=True, after=True)],
)
def test_nothing_is_written_twice_when_an_answer_is_lost(case: GitHubCase, path: str, fault: Fault) -> None:
    """Whether the write had happened or not, there is one comment, one line comment, and a check in the end."""
    case.finish(5, artifact(finding(1)))
    case.fake.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    publish_safely(case.connect(), 5, Masker({}), again=AGAIN)
    rows = case.fake.rows
    assert (len(rows.comments), len(rows.line_comments)) == (1, 1)
    assert {check["conclusion"] for check in rows.checks} == {"failure"}


def test_a_forge_that_stays_broken_is_an_error(case: GitHubCase) -> None:
    """After the retries; nothing is acknowledged that was not written."""
    case.finish(5, artifact(finding(1)))
    case.fake.faults.append(Fault("POST", "/comments$", 500, times=99))
    with pytest.raises(ForgeError):
        publish_safely(case.connect(), 5, Masker({}), again=AGAIN)


def test_line_comments_are_only_on_lines_of_the_diff_and_bounded(case: GitHubCase) -> None:
    """Thirty findings, ten of them outside: twenty comments at most, the rest in the one comment. The fake refuses any other line."""
    inside = [finding(at, line=2) for at in range(1, 26)]
    outside = [finding(at, line=99) for at in range(30, 36)] + [
        finding(40, "no/such.py", 1),
        finding(41, "image.png", 1),
    ]
    case.finish(5, artifact(*outside, *inside))
    publish_safely(case.connect(), 5, Masker({}))
    assert len(case.fake.rows.line_comments) == Policy().max_comments == 20
    assert {row["line"] for row in case.fake.rows.line_comments} == {2}
    assert "33 open findings" in case.fake.rows.comments[0]["body"]


def test_a_very_large_report_fits_into_a_comment(case: GitHubCase) -> None:
    """Two thousand findings with long texts: under GitHub's limit, which the fake holds; the next review is a full one."""
    many = [msgspec.structs.replace(finding(at, line=99), message="long " * 700) for at in range(2_000)]
    case.finish(5, artifact(*many))
    publish_safely(case.connect(), 5, Masker({}))
    body = case.fake.rows.comments[0]["body"]
    assert len(body) <= 65_536
    marker = read_review_marker(body)
    assert marker is not None
    assert marker.complete is False


def test_a_partial_review_is_not_green_and_resolves_only_what_it_saw(case: GitHubCase) -> None:
    """The comment on a file that was not looked at stays open."""
    case.finish(5, artifact(finding(1)))
    publish_safely(case.connect(), 5, Masker({}))
    case.finish(6, artifact(state=State.PARTIAL))
    publish_safely(case.connect(), 6, Masker({}))
    assert "Resolved" not in case.fake.rows.line_comments[0]["body"]
    assert case.fake.rows.checks[-1]["conclusion"] == "neutral"


def test_a_thread_stays_open_where_the_token_may_not_close_it(
    case: GitHubCase, caplog: pytest.LogCaptureFixture
) -> None:
    """Its comment says that the finding is gone, the log says what the token lacks, and everything else is written."""
    case.finish(5, artifact(finding(1), finding(2)))
    publish_safely(case.connect(), 5, Masker({}))
    case.fake.tokens["job-2"].contents = False
    case.finish(6, artifact(state=State.CLEAN))
    publish_safely(case.connect(), 6, Masker({}))
    assert case.closed() == [False, False]
    assert all("**Resolved**" in body for _, _, body in case.line_state())
    assert [call.path for call in case.fake.calls].count("/graphql") == 2, "asked for once, refused once"
    assert "not accessible by integration" in caplog.text
    assert case.fake.rows.checks[-1]["conclusion"] == "success"


def test_threads_beyond_the_first_page_are_closed(case: GitHubCase) -> None:
    """GraphQL gives a hundred at a time."""
    for _ in range(8):
        notes = tuple(LineNote("src/a b.py", 2, 2, "theirs") for _ in range(20))
        case.connect().write(AddLineComments(7, HEAD, notes))
    case.finish(5, artifact(finding(1)))
    publish_safely(case.connect(), 5, Masker({}))
    case.finish(6, artifact(state=State.CLEAN))
    publish_safely(case.connect(), 6, Masker({}))
    assert [at for at, closed in enumerate(case.closed()) if closed] == [160]


def test_a_change_of_its_own_pipeline_builds_no_trust(case: GitHubCase) -> None:
    """A report that it may have forged is not what the next push's review rests on, nor one under a renamed file or a hidden one."""
    for renames, hidden, path in (
        ({}, 0, ".github/workflows/kodo-review.yml"),
        ({"notes.txt": ".github/workflows/kodo-review.yml"}, 0, "notes.txt"),
        ({}, 1, "notes.txt"),
    ):
        rows = case.fake.rows
        rows.patches[7] = {"src/a b.py": PATCH, path: "@@ -1,1 +1,1 @@\n-a\n+b"}
        rows.renames, rows.hidden_files = renames, hidden
        rows.comments.clear()
        case.finish(5, artifact(state=State.CLEAN))
        publish_safely(case.connect(), 5, Masker({}))
        body = rows.comments[0]["body"]
        marker = read_review_marker(body)
        assert marker is not None
        assert (marker.complete, rows.checks[-1]["conclusion"], "⚠️" in body) == (False, "neutral", True)


def test_a_run_again_that_left_no_report_is_not_green(case: GitHubCase) -> None:
    """The report of the attempt before is not published a second time as if it were this one's."""
    case.finish(5, artifact(state=State.CLEAN))
    publish_safely(case.connect(), 5, Masker({}))
    assert case.fake.rows.checks[-1]["conclusion"] == "success"
    case.connect().write(RunReview(7, HEAD))
    case.fake.finish_run(5, 7, None, conclusion="failure")
    publish_safely(case.connect(), 5, Masker({}))
    assert case.fake.rows.checks[-1]["conclusion"] == "failure"
    assert "left no report" in case.fake.rows.comments[0]["body"]
    case.connect().write(RunReview(7, HEAD))
    case.finish(5, artifact(state=State.CLEAN))
    publish_safely(case.connect(), 5, Masker({}))
    assert case.fake.rows.checks[-1]["conclusion"] == "success"


@pytest.mark.parametrize(("target", "number"), [("main", 7), ("dev", 8), ("", 7), ("nowhere", 8)])
def test_two_requests_from_one_branch_get_their_own_reports(
    case: GitHubCase, target: str, number: int
) -> None:
    """GitHub does not say which one a run was for; the report chooses among those that it names, and no other."""
    case.fake.open_pull(8, base=BASE, head=HEAD, owner="stranger", into="dev")
    case.fake.open_pull(9, base=BASE, head=HEAD, owner="stranger", into="nowhere", branch="other")
    case.finish(5, artifact(finding(1), target=target))
    publish_safely(case.connect(), 5, Masker({}))
    assert [row["issue"] for row in case.fake.rows.comments] == [number]


def test_two_runs_at_once_become_one_comment_again(case: GitHubCase) -> None:
    """What both wrote before either saw the other: the second comment says so, both line comments are closed."""
    case.finish(5, artifact(finding(1)))
    both = [plan(read_state(case.connect(), 7), read_artifact(artifact(finding(1)))) for _ in range(2)]
    for writes in both:
        carry_out(case.connect(), writes, case.connect().pull(7), dry_run=False)
    assert (len(case.fake.rows.comments), len(case.fake.rows.line_comments)) == (2, 2)
    case.finish(6, artifact(state=State.CLEAN))
    publish_safely(case.connect(), 6, Masker({}))
    first, second = (row["body"] for row in case.fake.rows.comments)
    assert "## kodo review: no findings" in first
    assert "the other comment" in second
    assert case.closed() == [True, True]
    case.fake.calls.clear()
    publish_safely(case.connect(), 6, Masker({}))
    assert case.fake.writes() == []


def test_an_older_run_does_not_overwrite_a_newer_ones_comment(case: GitHubCase) -> None:
    """The head moved while the older one was being published: its comment is not written."""
    case.finish(5, artifact(finding(1)))
    forge = case.connect()
    writes = plan(read_state(forge, 7), read_artifact(artifact(finding(1))))
    pull = forge.pull(7)
    case.move_head()
    done = carry_out(forge, writes, pull, dry_run=False)
    assert [type(write).__name__ for write in done] == ["AddLineComments", "SetCheck"]
    assert case.fake.rows.comments == []


@pytest.mark.parametrize("kept", range(4))
def test_a_run_that_broke_off_is_made_whole_by_the_next(case: GitHubCase, kept: int) -> None:
    """After any number of its writes: in the end everything is there once."""
    case.finish(5, artifact(finding(1), finding(2)))
    forge = case.connect()
    for write in plan(read_state(forge, 7), read_artifact(artifact(finding(1), finding(2))))[:kept]:
        forge.write(write)
    publish_safely(case.connect(), 5, Masker({}))
    assert (len(case.fake.rows.comments), len(case.fake.rows.line_comments)) == (1, 2)
    assert case.fake.rows.checks[-1]["conclusion"] == "failure"


def test_a_comment_that_somebody_deleted_meanwhile_is_written_anew(case: GitHubCase) -> None:
    """Between the reading and the writing."""
    case.finish(5, artifact(finding(1)))
    publish_safely(case.connect(), 5, Masker({}))
    forge = case.connect()
    real, deleted = forge.write, []

    def write(what: Write) -> None:
        if isinstance(what, UpdateComment) and not deleted:
            deleted.append(case.fake.rows.comments.pop())
        real(what)

    forge.write = write  # type: ignore[method-assign]  # somebody is quicker
    case.finish(6, artifact(state=State.CLEAN))
    publish_safely(forge, 6, Masker({}), again=AGAIN)
    [comment] = case.fake.rows.comments
    assert (len(deleted), "no findings" in comment["body"]) == (1, True)


def test_a_marker_comes_back_and_a_strange_one_is_none() -> None:
    """With all its fields; more open findings than fit make it incomplete; damaged or foreign ones are no state."""
    row = OpenFinding("ab12cd34", "a.py", 1, Severity.ERROR, Category.BUG, "B006", "日本語 -->", True)
    marker = ReviewMarker(
        base="a" * 40, head="b" * 40, target="main", complete=True, open=(row,), ignored=("B006",)
    )
    text = write_review_marker(marker)
    assert read_review_marker(text + "\nrest") == marker
    assert "-->" not in text.removesuffix(" -->")
    long = read_review_marker(
        write_review_marker(msgspec.structs.replace(marker, open=(row,) * (MAX_OPEN + 1)))
    )
    assert long is not None
    assert long.complete is False
    for strange in ("x" + text, text[:40] + "!!" + text[42:], "<!-- kodo:review:v1 AAAA -->", ""):
        assert read_review_marker(strange) is None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.lists(st.sampled_from("+- "), min_size=1, max_size=8)),
        min_size=1,
        max_size=4,
    )
)
def test_shown_lines_agree_with_another_parser(hunks: list[tuple[int, list[str]]]) -> None:
    """Any hunks: the same lines, hunks and old numbers as unidiff's, and a range never leaves its hunk."""
    old = new = 1
    lines: list[str] = []
    for gap, marks in hunks:
        old, new = old + gap, new + gap
        before, after = sum(mark != "+" for mark in marks), sum(mark != "-" for mark in marks)
        lines.append(f"@@ -{old if before else old - 1},{before} +{new if after else new - 1},{after} @@")
        lines += [f"{mark}x" for mark in marks]
        old, new = old + before, new + after
    patch = "\n".join(lines)
    shown = shown_lines(patch)
    assert {line: (at.hunk, at.old_line) for line, at in shown.items()} == {
        line: at for (_, line), at in patch_lines({"x": patch}).items()
    }
    for start in range(1, new + 2):
        found = commentable_range(shown, start, start + 3)
        assert found is None or len({shown[line].hunk for line in range(found[0], found[1] + 1)}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.kodo.ci]\nfail = 1", "fail"),
        (
            "[tool.kodo.ci]\nfail_on = 'often'",
            "tool.kodo.ci.fail_on: .*choose from error, info, never, warning",
        ),
        ("[tool.kodo.ci]\nseconds = 0", "seconds"),
        ("[tool.kodo.ci]\nseconds = 1e9", "seconds"),
        ("[tool.kodo.ci.triage]\nactions = ['close']", "actions.*choose from assign, comment, label"),
        ("[tool.kodo.ci.triage]\nmin_confidence = 2", "min_confidence"),
        ("[tool.kodo.ci", "pyproject.toml"),
    ],
)
def test_a_wrong_policy_names_its_key(text: str, message: str) -> None:
    """Unknown keys, values of another kind or out of range, and files that are not TOML."""
    with pytest.raises(PolicyError, match=message):
        parse_policy(text)


@pytest.mark.parametrize(
    ("policy", "change", "reason"),
    [
        ({"drafts": "skip"}, {"draft": True}, "draft"),
        ({"bots": "skip"}, {"author_is_bot": True}, "bot"),
        ({}, {"labels": ("no-kodo",)}, "no-kodo"),
        ({"require_labels": ("review",)}, {}, "none of the labels"),
        ({"require_labels": ("review",)}, {"labels": ("review",)}, ""),
        ({}, {"draft": True, "author_is_bot": True}, ""),
    ],
)
def test_the_policy_chooses_changes(
    policy: dict[str, object], change: dict[str, object], reason: str
) -> None:
    """By draft, kind of author and labels; the reason says which."""
    made = Change(system=System.GITHUB, base="a", head="b", **change)  # type: ignore[arg-type]  # as the table says
    assert reason in Policy(**policy).reason_to_skip(made)  # type: ignore[arg-type]  # as the table says
    assert bool(reason) == bool(Policy(**policy).reason_to_skip(made))  # type: ignore[arg-type]  # as the table says


def test_the_time_limit_ends_work_and_its_processes() -> None:
    """Also where the work catches every exception; the clock is off afterwards."""
    import subprocess

    started = time.monotonic()
    with pytest.raises(OutOfTime), time_limit(0.3):
        try:
            subprocess.run(["sleep", "120"], check=False)
        except Exception as error:
            raise AssertionError from error
    assert time.monotonic() - started < 60
    with time_limit(0.2):
        pass
    time.sleep(0.3)


def test_a_review_that_takes_too_long_could_not_be_done(tmp_path: Path) -> None:
    """The report says so and names the setting; it is not clean."""
    shop = Shop.create(tmp_path / "shop")
    shop.git("checkout", "-q", "main")
    shop.commit("policy", {"pyproject.toml": MAIN["pyproject.toml"] + "\n[tool.kodo.ci]\nseconds = 0.01\n"})
    shop.git("checkout", "-q", "-B", "work", "main")
    shop.commit("add", {"shop/cart.py": BAD_CART})
    found = review_change(Change(system=System.PLAIN, base="main", head="work"), shop.root)
    assert found.report.state is State.FAILED
    assert "tool.kodo.ci.seconds" in found.report.notes[0]


def test_a_model_is_asked_only_where_the_policy_wants_one(tmp_path: Path) -> None:
    """The session is opened with the policy, which bounds its cost."""
    shop = Shop.create(tmp_path / "shop")
    shop.commit("add", {"shop/cart.py": BAD_CART})
    asked: list[Policy] = []

    def open_session(policy: Policy) -> object:
        asked.append(policy)
        raise OSError("no server")

    change = Change(system=System.PLAIN, base="main", head="work")
    review_change(change, shop.root, None, open_session)  # type: ignore[arg-type]  # never returns
    assert asked == []
    shop.git("checkout", "-q", "main")
    shop.commit(
        "policy",
        {"pyproject.toml": MAIN["pyproject.toml"] + "\n[tool.kodo.ci]\nmodel = true\nmax_cost = 0.02\n"},
    )
    shop.git("checkout", "-q", "work")
    with pytest.raises(OSError, match="no server"):
        review_change(change, shop.root, None, open_session)  # type: ignore[arg-type]  # never returns
    assert [policy.max_cost for policy in asked] == [0.02]


@pytest.mark.parametrize(
    ("system", "environ", "message"),
    [
        (System.GITHUB, {}, "GITHUB_TOKEN"),
        (System.GITHUB, {"GITHUB_TOKEN": "x"}, "GITHUB_REPOSITORY"),
        (System.GITHUB, {"GITHUB_TOKEN": "x", "GITHUB_REPOSITORY": "a/b/c"}, "owner/name"),
        (System.GITLAB, {"KODO_GITLAB_TOKEN": "x"}, "CI_PROJECT_ID"),
        (System.JENKINS, {}, "jenkins"),
    ],
)
def test_what_is_missing_is_named(system: System, environ: dict[str, str], message: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ForgeError, match=message):
        connect(system, environ, retry=QUICK)


def test_artifact_is_a_value() -> None:
    """It compares by what it holds, so that a test of a plan can compare."""
    report = ReviewReport(state=State.CLEAN, source="x")
    assert Artifact(RunInfo(), report) == Artifact(RunInfo(), report)
