"""A session: calls to one Responses API, masked, budgeted, retried and written into the ledger.

Every call goes the same way: mask secrets, reserve the worst case, send with retries, settle, one row in the ledger.
``Session`` blocks, ``AsyncSession`` (``kodo.client.async_session``) awaits; names and arguments are the same. What they share and what
can be tested without a server is in ``account`` and ``plan``.

The transport is the openai SDK with its own retries off, so there is one retry layer: ``kodo.client.retry``.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from kodo.client import endpoint as endpoints
from kodo.client import request_plan
from kodo.client.accounting import Account, Note, ReservedCall, is_done, repository_of
from kodo.client.answer import Answer, ensure_response
from kodo.client.budget import Budget
from kodo.client.cassette import Cassette, open_cassette
from kodo.client.endpoint import NOT_STARTED, REPLAY, Endpoint, StartedServer, is_loopback
from kodo.client.error_translation import reason_of
from kodo.client.errors import EndpointError
from kodo.client.estimate import Estimate, estimate_plan, parse_token_count
from kodo.client.i18n import pick_lang
from kodo.client.ledger import Ledger
from kodo.client.recording import RecordingTransport
from kodo.client.request_plan import CallOptions, Input, Plan
from kodo.client.retry import RetryEvent, RetryHook, RetryPolicy
from kodo.client.settings import ClientSettings, changed, load
from kodo.client.stream import AsyncTextStream, TextStream
from kodo.client.transport import http_client

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai.types.responses import Response

POLL_SECONDS = (0.2, 2.0)
"""First and longest pause between looks at a response that runs in the background."""


class SessionBase:
    """What the sync and the async session have in common: making one, and its accounts."""

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        model: str | None = None,
        profile: str | None = None,
        lang: str | None = None,
        budget: Budget | None = None,
        ledger: Ledger | None = None,
        record: Path | None = None,
        replay: Path | None = None,
        retry: RetryPolicy | None = None,
        free: bool | None = None,
        job: str = "",
        repository: str | None = None,
        run_id: str | None = None,
        on_note: Note = lambda _: None,
    ) -> None:
        """Make a session. Nothing is looked up, started or sent before the first call.

        Args:
            settings: all settings in one value; the arguments after it override its fields.
            base_url, api_key, model, profile, lang, free: as in :class:`ClientSettings`.
            budget: limits of this session, in US dollars; those stored in the ledger hold besides.
            ledger: default: ``KODO_HOME/ledger.db``, opened and closed with the session.
            record: write every exchange into this cassette; replay: answer from it, and send nothing.
            retry: the whole retry policy, instead of the one the settings describe.
            job: name of the work in the ledger, where a call gives none.
            repository: what the ledger counts per repository; default: the git work tree of the current folder.
            run_id: default: a new one; sessions that share it share the ``run`` limit.
            on_note: told what the user should know, in ``lang``.

        Raises:
            SettingsError: a setting is wrong.
            ValueError: record and replay together, or a language that does not exist.
        """
        if record and replay:
            raise ValueError("record and replay are mutually exclusive")
        given: dict[str, object] = {
            "base_url": base_url,
            "api_key": api_key,
            "model": model,
            "free": free,
        }
        if settings is None:
            settings = load(profile, **given)
        elif profile is not None:
            raise ValueError("profile and settings are mutually exclusive: settings already have a profile")
        else:
            settings = changed(settings, **given)
        self.settings = settings
        self._owns_ledger = ledger is None
        self.account = Account(
            settings=settings,
            ledger=ledger or Ledger(),
            budget=budget or Budget(),
            lang=pick_lang(lang or settings.lang),
            note=on_note,
            job=job,
            repository=repository_of() if repository is None else repository,
            run_id=run_id or uuid.uuid4().hex,
        )
        policy = retry or RetryPolicy(
            settings.max_retries,
            settings.base_delay,
            settings.max_delay,
            settings.deadline,
            on_retry=(self._notify_retry,),
        )
        self.retry = replace(policy, on_retry=(*policy.on_retry, self._tell_listeners))
        self._listeners: tuple[RetryHook, ...] = ()
        self._cassette: Cassette | None = open_cassette(record, replay)
        self._endpoint: Endpoint | None = REPLAY if replay else None
        self._server: StartedServer | None = None
        self._borrowed = False
        self._streams: weakref.WeakSet[TextStream | AsyncTextStream] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def ledger(self) -> Ledger:
        """The ledger this session writes to."""
        return self.account.ledger

    @property
    def run_id(self) -> str:
        """The key of this session's ``run`` limit and of its rows in the ledger."""
        return self.account.run_id

    @property
    def spent(self) -> Decimal:
        """US dollars that count against this session's ``run`` limit now."""
        return self.ledger.spent("run", self.run_id)

    def endpoint(self, *, start: bool = True) -> Endpoint:
        """Where this session talks to; found at the first use and kept. Blocks while a server starts.

        Raises:
            EndpointError: no server was found, or ``start`` is False and one would have to be started.
        """
        with self._lock:
            if self._endpoint is None:
                self._endpoint, self._server = endpoints.find_endpoint(
                    self.settings, start=start, on_start=lambda: self.account.notify("starting")
                )
            return self._endpoint

    @contextmanager
    def listening(self, hook: RetryHook) -> Iterator[None]:
        """Also tell this hook of every retry while the block runs; for metrics and throttles. Blocks may overlap."""
        with self._lock:
            self._listeners = (*self._listeners, hook)
        try:
            yield
        finally:
            with self._lock:
                left = list(self._listeners)
                left.remove(hook)
                self._listeners = tuple(left)

    def _tell_listeners(self, event: RetryEvent) -> None:
        for hook in self._listeners:
            hook(event)

    def _notify_retry(self, event: RetryEvent) -> None:
        kind, why = type(event.error).__name__, reason_of(event.error)
        said = kind if why is None else f"{kind}: {why}"
        self.account.notify(
            "retry",
            attempt=event.attempt,
            attempts=self.retry.max_retries + 1,
            address="-" if self._endpoint is None else self._endpoint.base_url,
            delay=event.delay,
            error=said,
        )

    def _sdk_options(self, endpoint: Endpoint) -> dict[str, Any]:
        return {
            "base_url": endpoint.base_url,
            # The SDK insists on a key; a local server without keys ignores it.
            "api_key": endpoint.api_key or "none",
            "max_retries": 0,
            "timeout": self._timeout(self.settings.timeout),
        }

    def _timeout(self, seconds: float) -> httpx2.Timeout:
        import httpx2

        return httpx2.Timeout(seconds, connect=self.settings.connect_timeout)

    def _close_shared(self) -> None:
        if self._borrowed:
            return
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._owns_ledger:
            self.ledger.close()


class Session(SessionBase):
    """Calls to one Responses API; see the module. Safe to share between threads. Close it, or use it with ``with``."""

    _sdk: openai.OpenAI | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close streams and connections, stop a server that was started for this session."""
        for stream in list(self._streams):
            if isinstance(stream, TextStream):
                stream.close()
        if self._sdk is not None:
            self._sdk.close()
            self._sdk = None
        self._close_shared()

    def client(self) -> openai.OpenAI:
        """The SDK client, with its retries off. Calls made on it directly are not budgeted or written down."""
        import openai

        endpoint = self.endpoint()
        with self._lock:
            if self._sdk is None:
                options = self._sdk_options(endpoint)
                sender = None
                if self._cassette is None or self._cassette.recording:
                    sender = http_client(endpoint.base_url, loopback=is_loopback(endpoint.base_url))
                options["http_client"] = (
                    sender
                    if self._cassette is None
                    else openai.DefaultHttpxClient(transport=RecordingTransport(self._cassette, sender))
                )
                self._sdk = openai.OpenAI(**options)
            return self._sdk

    def respond(self, input: Input, **options: Unpack[CallOptions]) -> Answer:
        """One answer, whole.

        Args:
            input: a prompt or input items.
            options: see :class:`~kodo.client.request_plan.CallOptions`. With ``background`` the answer is waited for.

        Raises:
            BudgetExceededError, UnknownPriceError: nothing was sent.
            CallError: the call did not give an answer; its subclass says why.
            EndpointError: no server was found.
        """
        client = self.client()
        call, plan = self._open(input, options)

        def send() -> Response:
            call.attempts += 1
            answer: object = client.responses.create(
                **request_plan.sdk_arguments(plan), timeout=self._timeout(plan.timeout)
            )
            return ensure_response(answer)

        try:
            raw = self.retry.call(plan.job or "respond", send)
            if not is_done(raw):
                raw = self._poll(client, raw.id)
        except Exception as error:
            raise call.fail(error) from error
        except BaseException:
            call.cancel()
            raise
        return call.complete(raw)

    def stream(self, input: Input, **options: Unpack[CallOptions]) -> TextStream:
        """One answer as it is written: an iterator of pieces of text, with ``.answer`` once it is through.

        Arguments and errors are those of :meth:`respond`. The request is sent, and retried, before this returns,
        until the first event is there; from then on only a ``background`` response continues after a break. Leave it
        early with ``close()`` or ``with``.
        """
        client = self.client()
        call, plan = self._open(input, options)
        stream = TextStream.open(client, call, self.retry, self._timeout(plan.timeout))
        self._streams.add(stream)
        return stream

    def estimate(
        self, input: Input, *, ask_server: bool | None = None, **options: Unpack[CallOptions]
    ) -> Estimate:
        """What a call would read and cost, without making it; for ``--dry-run``.

        Args:
            ask_server: count tokens with ``POST /responses/input_tokens``, which sends the input. Default: only a
                server on this machine that already runs.

        Raises:
            UnknownPriceError: no price is known and the policy is to refuse.
        """
        try:
            endpoint = self.endpoint(start=False)
        except EndpointError:
            endpoint, ask_server = NOT_STARTED, False
        plan = self.account.plan(input, options, endpoint)
        counted = None
        if endpoint.local if ask_server is None else ask_server:
            counted = self._count(plan)
        return estimate_plan(plan, counted)

    def _count(self, plan: Plan) -> int | None:
        import openai

        body = request_plan.count_body(plan.body)
        try:
            answer: object = self.client().post("/responses/input_tokens", body=body, cast_to=object)
        except openai.APIError:
            return None  # the server has no such endpoint, or does not know the model: the estimate stands
        return parse_token_count(answer)

    def _open(self, input: Input, options: CallOptions) -> tuple[ReservedCall, Plan]:
        endpoint = self.endpoint()
        plan = self.account.plan(input, options, endpoint)
        return self.account.reserve(plan, endpoint), plan

    def _poll(self, client: openai.OpenAI, response_id: str) -> Response:
        pause, max_pause = POLL_SECONDS
        while True:
            time.sleep(pause)
            pause = min(pause * 1.5, max_pause)
            raw = self.retry.call("poll", lambda: ensure_response(client.responses.retrieve(response_id)))
            if is_done(raw):
                return raw
