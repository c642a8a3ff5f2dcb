"""``kodo fix`` as a command in real repositories, with scripted models: proofs, refusals, resuming, branches."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from bench.fix.faults import FAULTS, Fault
from bench.fix.kills import Moment, kill_and_resume
from bench.fix.models import MODELS, Model, reply
from bench.fix.projects import make_project
from bench.fix.runs import run_one

from kodo.cli.main import run
from kodo.client.testing import FakeResponses, Reply

BY_NAME = {fault.name: fault for fault in FAULTS}


def test_the_faults_are_twelve_kinds_and_all_shown() -> None:
    """Each fault fails its test and the hidden one, and passes the other; the right module passes all three."""
    assert (len(FAULTS), len({fault.kind for fault in FAULTS})) == (40, 12)
    for fault in FAULTS:
        for source, expected in ((fault.source, (True, True, True)), (fault.faulty, (False, True, False))):
            assert (
                tuple(_passes(source, body) for body in (fault.failing, fault.passing, fault.hidden))
                == expected
            )


def _passes(source: str, body: str) -> bool:
    names: dict[str, object] = {}
    try:
        exec(source, names)
        exec(f"def check():\n    {body}\ncheck()", names)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - whatever it raises, it does not pass
        return False
    return True


@pytest.mark.parametrize(("fault", "mode"), [("percent", "test"), ("baskets", "issue")])
def test_a_good_model_proves_its_fix(fault: str, mode: str) -> None:
    """The fix is proven, the hidden test passes, and nothing of the working tree was changed."""
    row = run_one(MODELS["good"], BY_NAME[fault], mode)
    assert (row.verdict, row.solved, row.changed, row.leaked) == ("proven", True, False, False)


@pytest.mark.parametrize(
    "model",
    [
        "gives up",
        "says nothing",
        "sends patches that do not fit",
        "calls a tool that is not there",
        "takes a checksum",
        "stops tests from running",
        "rewrites reports",
        "adds test settings",
        "adds a package of the module's name",
        "sets up the tests",
        "reads secrets",
        "weak test",
        "wrong test",
    ],
)
def test_no_other_model_is_believed(model: str) -> None:
    """No proof, no secret in a request, nothing written outside."""
    row = run_one(MODELS[model], BY_NAME["leap"], MODELS[model].mode)
    assert row.verdict in ("unproven", "none") and not (row.leaked or row.changed), row


@pytest.mark.parametrize("moment", [Moment(after=0.3), Moment(entry=3), Moment(entry=9)])
def test_a_killed_run_continues(moment: Moment) -> None:
    """After kill -9 the resumed run has the same patch, and no request was answered twice."""
    end = kill_and_resume(BY_NAME["areas"], moment, "issue")
    assert end.right and end.paid_once and end.starts <= 3, end


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a misspelt name, entered."""
    root = make_project(BY_NAME["cheapest"], tmp_path, with_failing=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    for key, value in (("NAME", "n"), ("EMAIL", "n@example.org")):
        monkeypatch.setenv(f"GIT_AUTHOR_{key}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{key}", value)
    return root


def test_a_wrong_name_is_fixed_without_a_model(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The closest name is proposed and proven; the branch has the patch as one commit and the tree is as before."""
    _git(project, "config", "user.name", "n")
    _git(project, "config", "user.email", "n@example.org")
    argv = [
        "fix",
        "--test",
        "tests/test_cheapest.py::test_fault",
        "--no-model",
        "--format",
        "json",
        "--branch",
        "fixed",
    ]
    assert run(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "proven" and report["how"] == "cheapest.py:6: ofers is offers"
    assert report["suite"] == {"passed_before": 1, "passed_after": 2, "worse": []}
    assert "min(offers," in _git(project, "show", "fixed:cheapest.py")
    assert _git(project, "status", "--porcelain") == ""
    capsys.readouterr()
    for name, said in (("fixed", "there already"), ("bad name", "not a valid branch name")):
        assert run([*argv[:-1], name]) == 2
        err = capsys.readouterr().err
        assert said in err and "running" not in err  # before anything is done for it, or paid


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "exactly one of"),
        (["x", "--test", "y"], "exactly one of"),
        (["--test", "tests/nowhere.py::test_x", "--no-model"], "no file tests/nowhere.py"),
        (["--test", "tests/test_cheapest.py::test_nope", "--no-model"], "there is no such test"),
        (["--test", "tests/test_cheapest.py::test_before", "--no-model"], "passes before any change"),
        (["--finding", "0123456789", "--no-model"], "no finding 0123456789"),
        (["--finding", "x", "--no-model"], "at least 4 characters"),
        (["--resume", "nope", "--no-model"], "there is no run nope"),
        (["--resume", "last", "--no-model"], "no run to resume"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    """Exit status 2 and one line that says what is wrong; nothing of it is left to resume."""
    assert run(["fix", *argv]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not list((project.parent / "home").glob("fixes/*"))


def test_a_test_file_that_is_not_there_is_told_before_the_suite_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which takes as long as the project's tests."""
    assert run(["fix", "--test", "tests/nowhere.py", "--no-model"]) == 2
    assert "running the tests" not in capsys.readouterr().err


@pytest.mark.parametrize("absolute", [False, True])
def test_a_test_is_named_from_the_current_folder(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    """As pytest takes it, and the report names it from the top of the project."""
    monkeypatch.chdir(project / "tests")
    file = project / "tests" / "test_cheapest.py" if absolute else "test_cheapest.py"
    assert run(["fix", "--test", f"{file}::test_nope", "--no-model"]) == 2
    assert "tests/test_cheapest.py::test_nope: there is no such test" in capsys.readouterr().err


def test_a_wrong_request_is_told_in_japanese_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line that says what is wrong, in the user's language."""
    for argv, said in (
        (["--test", "tests/test_cheapest.py::test_before"], "変更前に成功するため"),
        (["--test", "tests/nowhere.py::test_x"], "tests/nowhere.py がありません"),
        (["--resume", "nope"], "実行 nope はありません"),
    ):
        assert run(["fix", *argv, "--no-model", "--lang", "ja"]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_unittest_suite_is_proven_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case of unittest by its dotted name; pytest runs it, and the counter-tests are made from its assertions."""
    (project / "tests" / "test_cheapest.py").write_text(
        "import unittest\n\nfrom cheapest import cheapest\n\n\nclass OfferTest(unittest.TestCase):\n"
        "    def test_fault(self):\n        self.assertEqual(cheapest([('a', 3), ('b', 2)]), 'b')\n\n"
        "    def test_before(self):\n        self.assertTrue(callable(cheapest))\n"
    )
    argv = ["fix", "--test", "tests.test_cheapest.OfferTest.test_fault", "--no-model", "--format", "json"]
    assert run(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["test"]["name"] == "tests/test_cheapest.py::OfferTest::test_fault"
    assert report["suite"] == {"passed_before": 1, "passed_after": 2, "worse": []}


def test_a_project_without_python_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says that no other test runner is known."""
    (tmp_path / "index.js").write_text("exports.x = 1\n")
    _git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    assert run(["fix", "x should be 2", "--no-model"]) == 2
    assert "no Python here" in capsys.readouterr().err.splitlines()[-1]


def test_without_a_model_the_report_says_so_in_both_languages(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An issue in words can be fixed by no rule."""
    assert run(["fix", "It is broken.", "--no-model"]) == 3
    assert "no model was asked" in capsys.readouterr().out
    assert run(["fix", "It is broken.", "--no-model", "--lang", "ja"]) == 3
    assert "モデルには問い合わせていません" in capsys.readouterr().out


def test_a_finding_is_fixed_by_its_verified_fix(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding of a review with a fix that was tried needs no model and no failing test."""
    (project / "cheapest.py").write_text(
        BY_NAME["cheapest"].source + "\n\ndef odd(x=None):\n    return x == None\n"
    )
    assert run(["review", "--no-model", "--no-run", "--format", "json"]) in (0, 1)
    found = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["fix"]]
    assert run(["fix", "--finding", found[0]["fingerprint"], "--no-model", "--format", "patch"]) == 0
    assert "+    return x is None" in capsys.readouterr().out


def test_the_report_is_for_people_in_both_languages(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text on stdout, Markdown in a file, and the verdict in Japanese."""
    file = tmp_path / "report.md"
    argv = [
        "fix",
        "--test",
        "tests/test_cheapest.py::test_fault",
        "--no-model",
        "--format",
        "text",
        "--format",
        f"markdown={file}",
    ]
    assert run([*argv, "--lang", "ja"]) == 0
    assert capsys.readouterr().out.startswith("証明済み")
    assert "```diff" in file.read_text() and "✅" in file.read_text()


def test_a_budget_ends_the_work_and_keeps_the_run(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that the first call does not fit ends with status 4 before anything is sent."""
    fault = BY_NAME["cheapest"]
    with FakeResponses(lambda seen: reply(MODELS["good"], fault, seen)) as server:
        monkeypatch.setenv("KODO_FREE", "false")
        argv = [
            "fix",
            fault.issue,
            "--base-url",
            server.base_url,
            "--model",
            "gpt-5",
            "--max-cost",
            "0.0000001",
        ]
        assert run(argv) == 4
        assert not server.posts
    assert "budget per run" in capsys.readouterr().err


def test_a_model_that_fails_leaves_the_run_to_resume(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server's refusal is an error with its status; the run is there to be resumed."""
    with FakeResponses(
        [Reply(status=400, body={"error": {"message": "no", "type": "x", "param": None, "code": None}})]
    ) as server:
        assert run(["fix", "It is broken.", "--base-url", server.base_url]) == 2
    fault: Fault = BY_NAME["cheapest"]
    model: Model = MODELS["good"]
    with FakeResponses(lambda seen: reply(model, fault, seen)) as server:
        argv = ["fix", "--resume", "last", "--base-url", server.base_url, "--format", "json"]
        assert run(argv) == 3  # "It is broken." says none of the test's values
        report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "unproven" and "which the issue does not say" in report["reasons"][0]


def test_a_failure_with_an_address_is_resumed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output of the failing test is another one in each run; the model is told the first one again."""
    (project / "tests" / "test_cheapest.py").write_text(
        "from cheapest import cheapest\n\n\ndef test_fault():\n    who = object()\n"
        "    assert (cheapest([(who, 3)]), who) == (who, None)\n"
    )
    (project / "cheapest.py").write_text("def cheapest(offers):\n    return offers[0]\n")
    refusal = Reply(status=400, body={"error": {"message": "no", "type": "x", "param": None, "code": None}})
    with FakeResponses([refusal]) as server:
        argv = ["fix", "--test", "tests/test_cheapest.py::test_fault", "--base-url", server.base_url]
        assert run(argv) == 2
    with FakeResponses([Reply(text="I cannot.")] * 4) as server:
        argv = ["fix", "--resume", "last", "--base-url", server.base_url, "--format", "json"]
        assert run(argv) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "none" and "object object at 0x" in report["test"]["failure_before"]


def test_a_run_that_was_killed_at_once_is_not_the_last(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal without an entry is none to resume, and does not hide an earlier one."""
    assert run(["fix", "It is broken.", "--no-model"]) == 3
    empty = tmp_path / "home" / "fixes" / "99999999-000000-ffff" / "journal.jsonl"
    empty.parent.mkdir()
    empty.touch()
    capsys.readouterr()
    assert run(["fix", "--resume", "last", "--no-model", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "none"
    assert run(["fix", "--resume", empty.parent.name, "--no-model"]) == 2
    assert "has no request" in capsys.readouterr().err


def test_a_run_that_has_ended_gives_its_report_again(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same report and no request, also where the patch has been applied meanwhile; the run is its owner's alone."""
    model, fault = MODELS["good"], BY_NAME["percent"]
    root = make_project(fault, tmp_path / "other", with_failing=False)
    with (
        pytest.MonkeyPatch.context() as patched,
        FakeResponses(lambda seen: reply(model, fault, seen)) as server,
    ):
        patched.chdir(root)
        argv = ["--base-url", server.base_url, "--format", "json"]
        assert run(["fix", fault.issue, *argv]) == 0
        first, sent = capsys.readouterr().out, len(server.requests)
        (root / f"{fault.name}.py").write_text(fault.source)
        assert run(["fix", "--resume", "last", *argv]) == 0
        assert capsys.readouterr().out == first and len(server.requests) == sent
    (folder,) = (tmp_path / "home" / "fixes").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_run_does_not_go_on_in_another_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that a limit ended continues, but not where its patch does not fit any more."""
    fault = BY_NAME["cheapest"]
    with FakeResponses(lambda seen: reply(MODELS["changes nothing"], fault, seen)) as server:
        argv = ["--base-url", server.base_url, "--format", "json"]
        assert run(["fix", fault.issue, *argv, "--max-steps", "2"]) == 3
        (project / "cheapest.py").write_text(fault.source)
        assert run(["fix", "--resume", "last", *argv]) == 2
    assert "another one than when this run began" in capsys.readouterr().err


def _git(root: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=root, check=True, capture_output=True).stdout.decode().strip()
