"""The threads of review comments, which GitHub knows only by GraphQL: finding one by its first comment, and closing it.

``resolveReviewThread`` needs ``contents: write`` beside ``pull-requests: write``, though it changes no file (measured by
others with both kinds of token: github/gh-aw issue 35726, chethanuk/open-code-review pull request 27).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import msgspec

from kodo.ci.forge import ForgeError
from kodo.ci.http import ForgeHttp, StatusError

MAX_PAGES = 50
THREADS = """query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        nodes { id isResolved comments(first: 1) { nodes { databaseId } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}"""
CLOSE = """mutation($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) { thread { isResolved } }
}"""

_log = logging.getLogger(__name__)


class _First(msgspec.Struct):
    databaseId: int | None = None  # noqa: N815 - GitHub's name


class _Comments(msgspec.Struct):
    nodes: list[_First | None] = []


class _Thread(msgspec.Struct):
    id: str
    isResolved: bool  # noqa: N815 - GitHub's name
    comments: _Comments


class _PageInfo(msgspec.Struct):
    hasNextPage: bool  # noqa: N815 - GitHub's name
    endCursor: str | None = None  # noqa: N815 - GitHub's name


class _Threads(msgspec.Struct):
    nodes: list[_Thread | None]
    pageInfo: _PageInfo  # noqa: N815 - GitHub's name


class _PullThreads(msgspec.Struct):
    reviewThreads: _Threads  # noqa: N815 - GitHub's name


class _Repository(msgspec.Struct):
    pullRequest: _PullThreads | None = None  # noqa: N815 - GitHub's name


class _Data(msgspec.Struct):
    repository: _Repository | None = None


class _GraphQlError(msgspec.Struct):
    message: str = ""
    type: str = ""


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_GraphQlError] = []


class RefusedError(ForgeError):
    """The forge answered, and does not do it; ``kind`` is its word for why, such as ``FORBIDDEN``."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ReviewThreads:
    """The threads of one repository's pull requests.

    Args:
        http: as the adapter's.
        url: of GraphQL; on GitHub Enterprise Server it is not below the REST API's.
        owner, name: of the repository.
    """

    def __init__(self, http: ForgeHttp, url: str, owner: str, name: str) -> None:
        self._http, self._url = http, url
        self._owner, self._name = owner, name
        self._known: dict[int, dict[int, _Thread]] = {}
        self._may_close = True

    def close(self, number: int, comment: int) -> bool:
        """Close the thread that begins with a comment; whether it is closed now.

        Where the token may not, that is logged once and not tried again: the comment's text says the same.

        Raises:
            ForgeError: GitHub did not answer, also after the retries.
        """
        if not self._may_close:
            return False
        try:
            if number not in self._known:
                self._known[number] = dict(self._threads(number))
            thread = self._known[number].get(comment)
            if thread is None:
                return False
            if not thread.isResolved:
                self._ask(CLOSE, {"thread": thread.id})
        except RefusedError as error:
            self._may_close = error.kind == "NOT_FOUND"  # that thread alone is gone
            _log.warning("the thread of comment %d stays open: %s", comment, error)
            return False
        return True

    def _threads(self, number: int) -> Iterator[tuple[int, _Thread]]:
        after: str | None = None
        for _ in range(MAX_PAGES):
            variables = {"owner": self._owner, "name": self._name, "number": number, "after": after}
            try:
                data = msgspec.json.decode(self._ask(THREADS, variables), type=_Data)
            except msgspec.MsgspecError as error:
                raise ForgeError(f"graphql: an answer that is not understood: {error}") from error
            if data.repository is None or data.repository.pullRequest is None:
                return
            found = data.repository.pullRequest.reviewThreads
            for thread in found.nodes:
                first = thread.comments.nodes[0] if thread is not None and thread.comments.nodes else None
                if thread is not None and first is not None and first.databaseId is not None:
                    yield first.databaseId, thread
            if not found.pageInfo.hasNextPage:
                return
            after = found.pageInfo.endCursor

    def _ask(self, document: str, variables: Mapping[str, object]) -> bytes:
        """One document. Both may be asked twice, so a lost answer is asked for again."""
        body = {"query": document, "variables": variables}
        try:
            response = self._http.request("POST", self._url, body=body, repeatable=True)
        except StatusError as error:
            raise RefusedError(str(error), "FORBIDDEN") from error
        answer = self._http.decode(response, _Answer, "graphql")
        if answer.errors:
            first = answer.errors[0]
            if first.type == "RATE_LIMITED":  # in an answer with status 200; later it would be done
                raise ForgeError(f"graphql: {first.message[:300]}")
            raise RefusedError(self._http.masker.text(first.message[:300]), first.type)
        return bytes(answer.data)


def graphql_url(rest_url: str) -> str:
    """Where GraphQL is, by the REST API's base URL: that of github.com, or of a GitHub Enterprise Server."""
    base = rest_url.rstrip("/")
    return base.removesuffix("/v3") + "/graphql"
