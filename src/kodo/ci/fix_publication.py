"""The job that may write: opens a proven fix as a draft request, and says in one comment what became of the attempt.

It checks nothing out. Where it writes to is what the forge and the run say; the artifact says only what the files become.
Running it again for the same run makes nothing twice.
"""

from __future__ import annotations

import re

from kodo.ci.artifact import ArtifactError
from kodo.ci.environment import FixEvent
from kodo.ci.fix_artifact import FIX_ARTIFACT, FixArtifact, read_fix
from kodo.ci.fix_command import FIX, FIX_BRANCH, FixTarget, why_not
from kodo.ci.forge import Forge
from kodo.ci.masking import Masker
from kodo.ci.policy import Policy, lenient_policy
from kodo.ci.publication import touched_pipeline
from kodo.ci.writes import CreateComment, OpenFix, Write
from kodo.client.i18n import Catalogue
from kodo.jobs.fix import FORMATS
from kodo.jobs.report.markdown import code_span, escaped
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.visible import one_line

MAX_BODY = 60_000
MAX_TITLE = 72
_MARKER = re.compile(rf"<!-- kodo:{FIX}:v1 (\d{{1,20}}) (\d{{1,20}}) -->")
WORDS = Catalogue(
    {
        "opened": (
            "A fix was proven; it is a draft from the branch {branch}. Nothing is merged by kodo.",
            "修正が証明されました。ブランチ {branch} からのドラフトです。kodo はマージしません。",
        ),
        "none": ("No fix was proven.", "修正は証明できませんでした。"),
        "not_done": ("No fix was looked for: {reason}", "修正を試みられませんでした: {reason}"),
        "lost": (
            "the run left no result (see its log)",
            "結果が残されていません（実行ログを参照してください）",
        ),
        "refused": ("its result was refused: {reason}", "結果を受け付けられませんでした: {reason}"),
        "moved": ("the change has a newer commit", "変更に新しいコミットがあります"),
        "pipeline": ("it would change the pipeline ({paths})", "パイプライン（{paths}）を変更するものです"),
        "title_issue": ("Fix #{number}", "#{number} を修正"),
        "title_finding": ("Fix {finding} in #{number}", "#{number} の {finding} を修正"),
        "for": (
            "For #{number}, asked for by a comment.",
            "#{number} のための修正です（コメントによる依頼）。",
        ),
    }
)


def publish_fix(forge: Forge, event: FixEvent, masker: Masker, *, dry_run: bool = False) -> tuple[Write, ...]:
    """Publish the attempt of a run; returns what was (or would be) written.

    Nothing is written for a run that was published before, or whose command another run has answered.

    Args:
        event: of the run; its ``head`` is what a fix of an issue begins at.

    Raises:
        ForgeError: the forge refused or did not answer.
    """
    number, finding, run_id, head = event.number, event.finding, event.run_id, event.head
    if finding:
        pull, comments = forge.pull(number), forge.comments(number)
        target, into, head = FixTarget.of_change(pull, comments), pull.head_branch, pull.head_sha
        policy = lenient_policy(forge.file_at("pyproject.toml", pull.base_sha))
    else:
        comments = forge.comments(number, on_issue=True)
        target, into = FixTarget.of_issue(forge.issue(number), comments), forge.default_branch()
        policy = lenient_policy(forge.file_at("pyproject.toml", ""))
    if any(item.is_ours and _is_about(item.body, event) for item in comments):
        return ()
    artifact = _believed(forge, run_id, head, policy)
    branch = f"{FIX_BRANCH}{number}-{run_id}"
    reason = why_not(forge, target, policy, branch) if artifact.outcome == "proven" else ""
    if reason:
        artifact = FixArtifact(base=artifact.base, reason=reason)
    writes: list[Write] = []
    if artifact.outcome == "proven":
        key = "title_finding" if finding else "title_issue"
        title = WORDS.say(policy.lang, key, number=number, finding=finding[:8])
        body = f"{WORDS.say(policy.lang, 'for', number=number)}\n\n{_report(artifact, policy, masker)}"
        writes.append(OpenFix(number, branch, into, head, title[:MAX_TITLE], body[:MAX_BODY], artifact.files))
    writes.append(
        CreateComment(number, _comment(artifact, event, branch, policy, masker), on_issue=not finding)
    )
    if not dry_run:
        for write in writes:
            forge.write(write)
    return tuple(writes)


def _believed(forge: Forge, run_id: int, head: str, policy: Policy) -> FixArtifact:
    """The run's artifact, or one that says why there is none to believe."""
    data = forge.artifact(run_id, FIX_ARTIFACT)
    if data is None:
        return FixArtifact(reason=WORDS.say(policy.lang, "lost"))
    try:
        artifact = read_fix(data)
    except ArtifactError as error:
        reason = in_lang(str(error), policy.lang)
        return FixArtifact(reason=WORDS.say(policy.lang, "refused", reason=reason)[:2_000])
    if artifact.outcome == "proven" and artifact.base != head:
        return FixArtifact(reason=WORDS.say(policy.lang, "moved"))
    if touched := touched_pipeline(file.path for file in artifact.files):
        return FixArtifact(reason=WORDS.say(policy.lang, "pipeline", paths=", ".join(touched[:3]))[:2_000])
    return artifact


def _marker(event: FixEvent) -> str:
    return f"<!-- kodo:{FIX}:v1 {event.run_id} {event.command} -->"


def _is_about(body: str, event: FixEvent) -> bool:
    """Whether a comment of ours is that of this run, or of another one that the same command started."""
    found = _MARKER.match(body)
    return found is not None and (
        int(found[1]) == event.run_id or (event.command > 0 and int(found[2]) == event.command)
    )


def _report(artifact: FixArtifact, policy: Policy, masker: Masker) -> str:
    if artifact.report is None:
        return ""
    return masker.text(FORMATS["markdown"](artifact.report, policy.lang))


def _comment(artifact: FixArtifact, event: FixEvent, branch: str, policy: Policy, masker: Masker) -> str:
    lang = policy.lang
    lines = [_marker(event)]
    if artifact.outcome == "proven":
        lines.append(WORDS.say(lang, "opened", branch=code_span(branch)))
    elif artifact.outcome == "not done":
        reason = escaped(one_line(masker.text(artifact.reason)))
        lines.append(WORDS.say(lang, "not_done", reason=reason))
    else:
        lines += [WORDS.say(lang, "none"), "", _report(artifact, policy, masker)]
    return "\n".join(lines)[:MAX_BODY] + "\n"
