"""Which forge a pipeline belongs to, and the way to it: from the pipeline's variables and its token."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from kodo import __version__
from kodo.ci.change import System
from kodo.ci.forge import Forge, ForgeError
from kodo.ci.github.forge import ACTIONS_BOT, GitHubForge
from kodo.ci.gitlab.forge import GitLabForge
from kodo.ci.http import RETRY, ForgeHttp
from kodo.ci.masking import Masker
from kodo.client.retry import RetryPolicy

TOKEN_VARIABLES = {System.GITHUB: "GITHUB_TOKEN", System.GITLAB: "KODO_GITLAB_TOKEN"}
_TIMEOUT = httpx2.Timeout(60.0, connect=15.0)


def connect(
    system: System, environ: Mapping[str, str], repository: str = "", retry: RetryPolicy = RETRY
) -> Forge:
    """The forge of a pipeline.

    Args:
        system: GitHub or GitLab; other systems only run pipelines.
        repository: instead of the pipeline's own.

    Raises:
        ForgeError: a variable is missing; the message names it.
    """
    if system not in TOKEN_VARIABLES:
        raise ForgeError(f"a pipeline of the kind {system} names no forge; use --system github or gitlab")
    token = _needed(environ, TOKEN_VARIABLES[system])
    masker = Masker(environ, [token])
    if system is System.GITHUB:
        name = repository or _needed(environ, "GITHUB_REPOSITORY")
        headers = {
            "authorization": f"Bearer {token}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
        }
        http = _http(environ.get("GITHUB_API_URL") or "https://api.github.com", headers, masker, retry)
        return GitHubForge(http, name, environ.get("KODO_CI_ACCOUNT") or ACTIONS_BOT)
    project = repository or environ.get("CI_MERGE_REQUEST_PROJECT_ID") or _needed(environ, "CI_PROJECT_ID")
    http = _http(_needed(environ, "CI_API_V4_URL"), {"private-token": token}, masker, retry)
    return GitLabForge(http, project)


def _http(base_url: str, headers: dict[str, str], masker: Masker, retry: RetryPolicy) -> ForgeHttp:
    client = httpx2.Client(
        base_url=base_url, headers={"user-agent": f"kodo/{__version__}", **headers}, timeout=_TIMEOUT
    )
    return ForgeHttp(client, masker, retry)


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise ForgeError(f"{name}: not set")
    return value
