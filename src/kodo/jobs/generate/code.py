"""``generate_code``: a prompt in, code out; whole, or as it is written. The async twins are in ``aio``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Unpack

from kodo.client.request_plan import CallOptions
from kodo.client.session import Session
from kodo.jobs.generate.fences import CodeFilter, extract_code
from kodo.jobs.generate.job import can_check, instructions, usable, verify, with_files

__all__ = ["extract_code", "generate_code", "generate_code_stream", "with_defaults"]


def generate_code(
    prompt: str,
    *,
    language: str | None = None,
    context: Mapping[str, str] | None = None,
    check: bool = False,
    session: Session | None = None,
    **options: Unpack[CallOptions],
) -> str:
    """Code for a prompt: no fences, no chatter.

    Args:
        prompt: what to write.
        language: the language of the code, said to the model.
        context: texts the model should see first, by name (for example file names).
        check: parse the result; for python, json and toml.
        session: the session to use; default: a new one for this call, which looks for a server each time.
        options: see :class:`~kodo.client.request_plan.CallOptions`; ``instructions`` replaces the prompt of this job.

    Raises:
        UnusableCodeError: the answer holds no code, was cut off, or does not parse.
        ValueError: ``check`` for a language there is no parser for.
        KodoError: see :meth:`kodo.client.session.Session.respond`.
    """
    if check:
        can_check(language)
    options = with_defaults(options, language)
    with _session(session) as used:
        answer = used.respond(with_files(prompt, context or {}), **options)
    return usable(verify(answer, language, check=check))


def generate_code_stream(
    prompt: str,
    *,
    language: str | None = None,
    context: Mapping[str, str] | None = None,
    session: Session | None = None,
    **options: Unpack[CallOptions],
) -> Iterator[str]:
    """As :func:`generate_code`, in pieces as they are written, a line at a time. Nothing is sent before the first is asked for.

    Raises:
        UnusableCodeError: at the end, where there was no code or the answer was cut off.
        KodoError: see :meth:`kodo.client.session.Session.stream`.
    """
    options = with_defaults(options, language)
    found = CodeFilter()
    with _session(session) as used, used.stream(with_files(prompt, context or {}), **options) as stream:
        for piece in stream:
            if code := found.feed(piece):
                yield code
        if code := found.finish():
            yield code
        usable(verify(stream.answer, language, check=False))


def with_defaults(options: CallOptions, language: str | None) -> CallOptions:
    """The options of a call for code: its instructions and the name of the job, unless given."""
    return {"instructions": instructions(language), "job": "generate", **options}


@contextmanager
def _session(given: Session | None) -> Iterator[Session]:
    if given is not None:
        yield given
    else:
        with Session() as made:
            yield made
