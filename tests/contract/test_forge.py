"""One suite over every forge: GitHub and GitLab, each on its fake, which fails on any request that it does not expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.contract.forges import HEAD, PATCH, ForgeCase, GitHubCase, GitLabCase

from kodo.ci.forge import Forge, ForgeError, PermissionLevel
from kodo.ci.http import AmbiguousWriteError, LookAgainError
from kodo.ci.testing.github import FakeGitHub
from kodo.ci.testing.gitlab import FakeGitLab
from kodo.ci.testing.server import Fault
from kodo.ci.writes import (
    AddLabels,
    AddLineComments,
    Assign,
    Conclusion,
    CreateComment,
    FixedFile,
    LineNote,
    OpenFix,
    ResolveLineComment,
    RunReview,
    SetCheck,
    StartFix,
    UpdateComment,
)


@pytest.fixture(params=["github", "gitlab"])
def case(request: pytest.FixtureRequest) -> Iterator[ForgeCase]:
    """A forge with one change and two issues."""
    if request.param == "github":
        with FakeGitHub() as github:
            yield GitHubCase(github)
    else:
        with FakeGitLab() as gitlab:
            yield GitLabCase(gitlab)


def test_a_change_is_described(case: ForgeCase) -> None:
    """Its heads, its author, its labels, and that it comes from a fork."""
    pull = case.connect().pull(7)
    assert (pull.number, pull.head_sha, pull.base_branch, pull.is_open, pull.fork) == (
        7,
        HEAD,
        "main",
        True,
        True,
    )
    assert (pull.labels, pull.author, pull.author_is_bot) == (("x",), "ann", False)
    with pytest.raises(ForgeError, match="404"):
        case.connect().pull(8)


def test_a_run_knows_its_change_by_the_head(case: ForgeCase) -> None:
    """And none once the head has moved on."""
    case.finish(5, None)
    run = case.connect().run(5)
    assert (run.number, run.head_sha) == (7, HEAD)
    assert case.connect().finished_runs(10) == [5]
    case.move_head()
    assert case.connect().run(5).number == 0


def test_an_artifact_is_downloaded(case: ForgeCase) -> None:
    """None where there is none."""
    case.finish(5, b"zip")
    case.finish(6, None)
    forge = case.connect()
    assert (forge.artifact(5, "kodo-review"), forge.artifact(6, "kodo-review")) == (b"zip", None)


def test_the_diff_is_read(case: ForgeCase) -> None:
    """A file without a patch has an empty one."""
    text, picture = case.connect().files(7)
    assert (text.path, text.old_path, text.patch.rstrip("\n")) == ("src/a b.py", "src/a b.py", PATCH)
    assert (picture.path, picture.patch) == ("image.png", "")
    case.fake.rows.renames["src/a b.py"] = "src/old.py"
    case.fake.rows.hidden_files = 1
    [text] = case.connect().files(7)
    assert (text.path, text.old_path) == ("src/a b.py", "src/old.py")
    assert case.connect().pull(7).changed_files == 2, "also those that are not listed"


def test_comments_are_ours_by_the_account(case: ForgeCase) -> None:
    """The same words by somebody else are not ours."""
    case.say("<!-- kodo:review:v1 x -->", ours=False)
    case.say("<!-- kodo:review:v1 x -->", ours=True)
    assert [comment.is_ours for comment in case.connect().comments(7)] == [False, True]


def test_a_comment_is_made_and_changed(case: ForgeCase) -> None:
    """On the change, and on an issue."""
    forge = case.connect()
    for number, on_issue in ((7, False), (1, True)):
        forge.write(CreateComment(number, "one", on_issue))
        [made] = forge.comments(number, on_issue=on_issue)
        forge.write(UpdateComment(number, made.id, "two 日本語", on_issue))
        assert [comment.body for comment in forge.comments(number, on_issue=on_issue)] == ["two 日本語"]


def test_a_line_of_a_renamed_file_gets_a_comment(case: ForgeCase) -> None:
    """On an added line and on one of context; GitLab wants to be told the old path."""
    case.fake.rows.renames["src/a b.py"] = "src/old.py"
    notes = (LineNote("src/a b.py", 2, 2, "added"), LineNote("src/a b.py", 3, 3, "context", 2))
    case.connect().write(AddLineComments(7, HEAD, notes))
    assert [body for _, _, body in case.line_state()] == ["added", "context"]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("POST", "", 502, after=True),
        Fault("POST", "", 500),
        Fault("POST", "", cut=True, after=True),
    ],
)
def test_a_review_is_run_again_once(case: ForgeCase, fault: Fault | None) -> None:
    """Also where the answer is lost and the caller looks again; one that still runs is left alone."""
    case.finish(5, None)
    if fault is not None:
        path = "/(rerun|pipelines)$"
        case.fake.faults.append(Fault("POST", path, fault.status, cut=fault.cut, after=fault.after))
    for _ in range(3):
        with suppress(AmbiguousWriteError):
            case.connect().write(RunReview(7, HEAD))
    assert case.runs_again() == 1


def test_line_comments_are_made_and_resolved(case: ForgeCase) -> None:
    """On an added line with a suggestion, and on a line of context; a resolved one says so."""
    forge = case.connect()
    notes = (LineNote("src/a b.py", 1, 2, "note", 0, "b = `3`\n"), LineNote("src/a b.py", 3, 3, "context", 2))
    forge.write(AddLineComments(7, HEAD, notes))
    first, second = case.line_state()
    assert (first[1], second) == (2, ("src/a b.py", 3, "context"))
    assert "```suggestion" in first[2]
    assert "b = `3`" in first[2]
    [made, _] = forge.line_comments(7)
    assert (made.is_ours, made.path) == (True, "src/a b.py")
    forge.write(ResolveLineComment(7, made.id, made.thread, "gone"))
    assert case.line_state()[0][2] == "gone"
    assert case.closed() == [True, False]
    forge.write(ResolveLineComment(7, made.id, made.thread, "gone again"))
    assert case.closed() == [True, False], "closing twice is no error"


@pytest.mark.parametrize(
    "fault", [Fault("POST", "/graphql$", 502, times=2), Fault("PUT", "/d[0-9]+$", 502, times=2)]
)
def test_closing_a_thread_is_tried_again(case: ForgeCase, fault: Fault) -> None:
    """It may be done twice, so a lost answer costs nothing."""
    forge = case.connect()
    forge.write(AddLineComments(7, HEAD, (LineNote("src/a b.py", 2, 2, "note"),)))
    [made] = forge.line_comments(7)
    case.fake.faults.append(fault)
    forge.write(ResolveLineComment(7, made.id, made.thread, "gone"))
    assert (case.closed(), case.line_state()[0][2]) == ([True], "gone")


def test_a_comment_that_somebody_deleted_is_looked_for_again(case: ForgeCase) -> None:
    """The caller is told to read the change anew, and not that the forge is broken."""
    forge = case.connect()
    for write in (UpdateComment(7, 99, "x"), ResolveLineComment(7, 99, "99", "x")):
        with pytest.raises(LookAgainError):
            forge.write(write)


def test_a_line_that_the_forge_does_not_show_costs_only_its_own_comment(case: ForgeCase) -> None:
    """The head moved, or the forge counts otherwise: the other comments are written."""
    notes = (LineNote("src/a b.py", 2, 2, "good"), LineNote("src/a b.py", 99, 99, "bad"))
    case.connect().write(AddLineComments(7, HEAD, notes))
    assert [body for _, _, body in case.line_state()] == ["good"]
    case.fake.problems.clear()  # the fake notes what a forge should not be asked


@pytest.mark.parametrize("conclusion", Conclusion)
def test_a_check_is_set(case: ForgeCase, conclusion: Conclusion) -> None:
    """On the head."""
    case.connect().write(SetCheck(7, HEAD, conclusion, "title", "summary"))
    assert case.check() == (HEAD, conclusion)


def test_issues_are_read_and_labelled(case: ForgeCase) -> None:
    """Newest first, open and closed; labels with spaces stay whole; an assignment is by account."""
    forge = case.connect()
    assert [(issue.number, issue.is_open, issue.labels) for issue in forge.issues(10)] == [
        (2, False, ("bug",)),
        (1, True, ()),
    ]
    assert len(list(forge.issues(1))) == 1
    assert forge.labels() == ["bug", "good first issue"]
    forge.write(AddLabels(1, ("good first issue",)))
    assert forge.issue(1).labels == ("good first issue",)
    forge.write(Assign(1, ("ann",)))
    assert case.fake.rows.issues[1]["assignees"] == ["ann"]


@pytest.mark.parametrize(
    ("account", "level"),
    [
        ("ann", PermissionLevel.WRITE),
        ("root", PermissionLevel.WRITE),
        ("bob", PermissionLevel.READ),
        ("nobody", PermissionLevel.NONE),
    ],
)
def test_permission_is_the_forges_word(case: ForgeCase, account: str, level: PermissionLevel) -> None:
    """Writers and above; everybody else may not give commands."""
    assert case.connect().permission(account) is level


def test_files_are_read_at_a_commit(case: ForgeCase) -> None:
    """None where there is none."""
    forge = case.connect()
    assert forge.file_at("pyproject.toml", HEAD) == "[tool.kodo.ci]\n"
    assert forge.file_at("no/such.toml", HEAD) is None


def test_every_page_is_read(case: ForgeCase) -> None:
    """Two hundred and fifty comments are three pages."""
    for at in range(250):
        case.say(f"comment {at}", ours=False)
    case.fake.calls.clear()
    comments = case.connect().comments(7)
    assert [comment.body for comment in comments] == [f"comment {at}" for at in range(250)]
    assert sum("/comments" in call.path or "/notes" in call.path for call in case.fake.calls) == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_read_is_made_again_after_an_error_of_the_server(case: ForgeCase, status: int) -> None:
    """Twice, and it succeeds."""
    case.fake.faults.append(Fault("GET", r"/7$", status, times=2))
    assert case.connect().pull(7).number == 7


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", r"(comments|notes)$", 429, {"retry-after": "1"}),
        Fault(
            "POST",
            r"(comments|notes)$",
            403,
            {"retry-after": "1"},
            {"message": "You have exceeded a secondary rate limit"},
        ),
        Fault("POST", r"(comments|notes)$", 403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
    ],
    ids=["429", "secondary", "primary"],
)
def test_a_write_waits_for_a_rate_limit(case: ForgeCase, fault: Fault) -> None:
    """The forge said that it did nothing, so the write is made again, once."""
    case.fake.faults.append(Fault(fault.method, fault.path, fault.status, fault.headers, fault.body))
    case.connect().write(CreateComment(7, "x"))
    assert [comment.body for comment in case.connect().comments(7)] == ["x"]


def test_a_write_in_doubt_is_not_made_again(case: ForgeCase) -> None:
    """The answer is lost after the comment was made: the caller must look first."""
    case.fake.faults.append(Fault("POST", r"(comments|notes)$", 502, after=True))
    with pytest.raises(AmbiguousWriteError):
        case.connect().write(CreateComment(7, "x"))
    assert [comment.body for comment in case.connect().comments(7)] == ["x"]


def test_a_refusal_is_not_retried_and_names_no_token(case: ForgeCase) -> None:
    """A token that may only read writes nothing; the error has the status and what was asked."""
    with pytest.raises(ForgeError, match="403") as caught:
        case.connect("job-1").write(CreateComment(7, "x"))
    assert "job-1" not in str(caught.value)
    assert len([call for call in case.fake.calls if call.writes]) == 1


def test_a_token_in_an_answer_is_masked(case: ForgeCase) -> None:
    """A proxy that echoes the request's headers does not bring them into a log."""
    secret = "s3cr3t-token-value"
    case.fake.faults.append(Fault("GET", r"/7$", 404, body={"message": f"no {secret}"}, times=9))
    case.fake.tokens[secret] = case.fake.tokens["job-2"]  # type: ignore[assignment]  # the same kind in both
    with pytest.raises(ForgeError) as caught:
        case.connect(secret).pull(7)
    assert secret not in str(caught.value)
    assert "[masked" in str(caught.value)


def test_the_next_page_on_another_host_is_not_followed(case: ForgeCase) -> None:
    """The token would go there."""
    case.fake.faults.append(
        Fault("GET", r"/labels$", 200, {"link": '<https://elsewhere.example/x>; rel="next"'}, [])
    )  # type: ignore[arg-type]  # a list
    with pytest.raises(ForgeError, match="another host"):
        case.connect().labels()


CALLS: dict[str, Callable[[Forge], object]] = {
    "pull": lambda forge: forge.pull(7),
    "run": lambda forge: forge.run(5),
    "finished_runs": lambda forge: forge.finished_runs(5),
    "artifact": lambda forge: forge.artifact(5, "kodo-review"),
    "files": lambda forge: forge.files(7),
    "comments": lambda forge: forge.comments(7),
    "issue comments": lambda forge: forge.comments(1, on_issue=True),
    "line_comments": lambda forge: forge.line_comments(7),
    "file_at": lambda forge: forge.file_at("pyproject.toml", ""),
    "issue": lambda forge: forge.issue(1),
    "issues": lambda forge: list(forge.issues(5)),
    "labels": lambda forge: forge.labels(),
    "permission": lambda forge: forge.permission("ann"),
    "default_branch": lambda forge: forge.default_branch(),
    "own_branches": lambda forge: forge.own_branches(5),
    "create": lambda forge: forge.write(CreateComment(7, "x")),
    "update": lambda forge: forge.write(UpdateComment(7, 1, "x")),
    "lines": lambda forge: forge.write(AddLineComments(7, HEAD, (LineNote("src/a b.py", 2, 2, "x"),))),
    "resolve": lambda forge: forge.write(ResolveLineComment(7, 1, "1", "x")),
    "check": lambda forge: forge.write(SetCheck(7, HEAD, Conclusion.SUCCESS, "x", "x")),
    "label": lambda forge: forge.write(AddLabels(1, ("bug",))),
    "assign": lambda forge: forge.write(Assign(1, ("ann",))),
    "review": lambda forge: forge.write(RunReview(7, HEAD)),
    "start fix": lambda forge: forge.write(StartFix(7, "ab12cd34")),
    "open fix": lambda forge: forge.write(
        OpenFix(7, "kodo/fix-7-1", "main", HEAD, "x", "x", (FixedFile("a", "b"),))
    ),
}
"""Everything that is asked of a forge."""


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410, 422, 451, 500, 503])
def test_whatever_is_refused_is_an_error_of_the_forge(case: ForgeCase, status: int) -> None:
    """Every call, and nothing else is raised; a read that is not found may be none, and nothing is taken for granted."""
    may_be_none = {"permission", "file_at", "lines"} if status in (404, 422) else set()
    for name, call in CALLS.items():
        case.fake.faults[:] = [
            Fault(method, ".", status, times=99) for method in ("GET", "POST", "PUT", "PATCH")
        ]
        try:
            found = call(case.connect())
        except ForgeError:
            continue
        assert name in may_be_none
        assert found in (None, PermissionLevel.NONE)


@pytest.mark.parametrize(
    "body", [{}, [], None, "x", 7, [[]], [7], {"id": []}, {"message": "x" * 10_000}, [{"id": "x", "body": 7}]]
)
def test_whatever_is_not_understood_is_an_error_of_the_forge(case: ForgeCase, body: Any) -> None:
    """Other JSON with status 200, as of a proxy: every call ends, and nothing but the forge's error is raised."""
    for call in CALLS.values():
        case.fake.faults[:] = [
            Fault(method, ".", 200, body=body, times=99) for method in ("GET", "POST", "PUT", "PATCH")
        ]
        with suppress(ForgeError):
            call(case.connect())
