"""The async library has the same names with the same arguments as the sync one, which is kept by hand."""

from __future__ import annotations

import inspect
import re

import pytest

import kodo
from kodo.client.async_session import AsyncSession
from kodo.client.retry import RetryPolicy
from kodo.client.session import Session
from kodo.client.stream import AsyncTextStream, TextStream

CLASSES = [(Session, AsyncSession), (TextStream, AsyncTextStream), (kodo.Chat, kodo.aio.Chat)]
FUNCTIONS = ["generate_code", "generate_code_stream", "generate_batch"]
ASYNC_ONLY = {AsyncSession: {"sharing"}}
PROTOCOL = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}


def plain(annotation: object) -> str:
    """An annotation without what being async changes: names, iterators, and the coroutine around a result."""
    text = re.sub(
        r"\bBatchResults\b", "list[Answer | KodoError]", str(annotation)
    )  # a list that may be awaited
    text = re.sub(r"\b(Awaitable|Coroutine)\[(?:Any, Any, )?(.*)\]", r"\2", text)
    return re.sub(r"\bAsync", "", text).replace("Generator[str, None]", "Iterator[str]")


def shape(function: object) -> tuple[list[tuple[str, object, object, str]], str]:
    """Names, kinds, defaults and annotations of the parameters, and the result."""
    signature = inspect.signature(function)  # type: ignore[arg-type]  # methods and functions of the twins
    parameters = [
        (one.name, one.kind, one.default, plain(one.annotation)) for one in signature.parameters.values()
    ]
    return parameters, plain(signature.return_annotation)


def methods(owner: type) -> dict[str, object]:
    """The methods and properties that a class itself defines and that callers use."""
    found = {}
    for name, value in vars(owner).items():
        name = {there: here for here, there in PROTOCOL.items()}.get(name, name)
        if not name.startswith("_") or name in PROTOCOL or name == "__init__":
            value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            found[name] = value
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


@pytest.mark.parametrize(("sync", "twin"), CLASSES)
def test_an_async_class_has_the_methods_of_its_twin(sync: type, twin: type) -> None:
    """Nothing is missing on either side, and every argument, default and type is the same."""
    here, there = methods(sync), methods(twin)
    assert here.keys() == there.keys() - ASYNC_ONLY.get(twin, set())
    assert {name: shape(value) for name, value in here.items()} == {name: shape(there[name]) for name in here}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_async_function_has_the_arguments_of_its_twin(name: str) -> None:
    """kodo.aio and kodo differ in the kind of session alone."""
    assert shape(getattr(kodo, name)) == shape(getattr(kodo.aio, name))


def test_both_forms_of_a_retry_take_the_same_arguments() -> None:
    """RetryPolicy.acall is call for a function that is awaited; the decorator and the call form share the rest."""
    assert shape(RetryPolicy.call) == shape(RetryPolicy.acall)
    decorator, call = shape(kodo.retry_with_backoff)[0], shape(kodo.exponential_backoff_retry)[0]
    assert call[1:] == decorator
