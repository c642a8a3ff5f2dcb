"""The job that looks for a fix: reads what is to be fixed from the forge, runs ``kodo fix`` and keeps what it proved.

Its token can only read. The project's code and tests run in the sandbox, by ``kodo.jobs.fix``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kodo.ci.fix_artifact import MAX_FILE_CHARACTERS, MAX_FILES, MAX_REASON, FixArtifact
from kodo.ci.fix_command import FIX_WORDS, FixTarget, full_fingerprint, why_not
from kodo.ci.forge import Forge
from kodo.ci.masking import Masker
from kodo.ci.policy import Policy, lenient_policy
from kodo.ci.writes import FixedFile
from kodo.client.errors import KodoError
from kodo.client.i18n import words_of
from kodo.jobs.agent import AgentLimits
from kodo.jobs.fix import FixError, FixOptions, FixReport, FixRequest, WorkspaceError, fix
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.review.git import GitError, Repository
from kodo.sandbox import SandboxError

if TYPE_CHECKING:
    from kodo.ci.review_job import OpenSession

_EXECUTABLE = "100755"
_PLAIN = "100644"


def fix_in_pipeline(
    forge: Forge, root: Path, number: int, finding: str, masker: Masker, open_session: OpenSession
) -> FixArtifact:
    """Look for a fix of an issue, or of a finding on a change, in the repository at ``root``.

    Args:
        finding: the beginning of the finding's fingerprint; empty for an issue.
        open_session: makes the way to a model, within the policy's budget; used only where the policy asks for one.

    Never raises for what it is asked: an attempt that could not be made says why. Raises ForgeError.
    """
    repository = Repository(Repository(root).top())
    if finding:
        pull, comments = forge.pull(number), forge.comments(number)
        target, base, text = FixTarget.of_change(pull, comments), pull.head_sha, ""
        policy = lenient_policy(forge.file_at("pyproject.toml", pull.base_sha))
        finding = full_fingerprint(comments, finding) or ""
        reason = "" if finding else FIX_WORDS.say(policy.lang, "no_fix_finding")
    else:
        issue = forge.issue(number)
        target = FixTarget.of_issue(issue, forge.comments(number, on_issue=True))
        base, text, reason = repository.commit("HEAD"), f"{issue.title}\n\n{issue.body}", ""
        policy = lenient_policy(forge.file_at("pyproject.toml", ""))
    reason = why_not(forge, target, policy) or reason
    if reason:
        return FixArtifact(base=base, reason=reason)
    try:
        with _checked_out(repository, base) as folder, TemporaryDirectory(prefix="kodo-fix-") as run:
            request = FixRequest(project=str(folder), text=masker.text(text), finding=finding)
            report = _fix(request, policy, open_session, Path(run))
            files = _files(Repository(folder), base, report.patch)
    except (FixError, WorkspaceError, SandboxError, GitError, KodoError) as error:
        reason = in_lang(words_of(error, policy.lang), policy.lang)
        return FixArtifact(base=base, reason=masker.text(reason)[:MAX_REASON])
    return FixArtifact(base=base, report=masker.struct(report), files=files)


def _fix(request: FixRequest, policy: Policy, open_session: OpenSession, run: Path) -> FixReport:
    limits = AgentLimits(steps=policy.fix.steps, seconds=policy.fix.seconds)
    options = FixOptions(limits=limits, lang=policy.lang)
    if not policy.fix.model:
        return fix(request, options, None, run)
    with open_session(policy) as session:
        return fix(request, options, session, run)


@contextmanager
def _checked_out(repository: Repository, commit: str) -> Iterator[Path]:
    """A working tree of a commit beside the repository's own; no hook runs."""
    with TemporaryDirectory(prefix="kodo-fix-tree-") as parent:
        folder = Path(parent) / "tree"
        repository.run("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            repository.run("worktree", "remove", "--force", str(folder))


def _files(repository: Repository, base: str, patch: str) -> tuple[FixedFile, ...]:
    """The files that a patch changes, as it leaves them. Raises FixError for what a pipeline does not open."""
    if not patch:
        return ()
    with TemporaryDirectory(prefix="kodo-index-") as folder:
        index = Path(folder) / "index"
        repository.run("read-tree", base, index=index)
        given = patch.encode("utf-8", "surrogateescape")
        repository.run("apply", "--cached", "--whitespace=nowarn", stdin=given, index=index)
        tree = repository.run("write-tree", index=index).decode().strip()
    entries = repository.entries(base, tree)
    if len(entries) > MAX_FILES:
        raise FixError(f"the patch changes more than {MAX_FILES} files")
    return tuple(_changed(repository, entry.path, entry.new_mode, entry.new_blob) for entry in entries)


def _changed(repository: Repository, path: str, mode: str, blob: str) -> FixedFile:
    if set(blob) == {"0"}:
        return FixedFile(path, None)
    if mode not in (_PLAIN, _EXECUTABLE):
        raise FixError(f"the patch makes {path} something else than a file")
    try:
        text = repository.run("cat-file", "blob", blob).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FixError(f"{path} is not UTF-8") from error
    if len(text) > MAX_FILE_CHARACTERS:
        raise FixError(f"{path} is longer than {MAX_FILE_CHARACTERS} characters")
    return FixedFile(path, text, mode == _EXECUTABLE)
