"""Changed functions are called again inside a run, with one argument a little different."""

import time
import types

from kodo.jobs.execution.worker.inner_variation import InnerVariation
from kodo.jobs.execution.worker.probe import Probe, first_difference, probed

SOURCE = """
class Shelf:
    __slots__ = ("_books", "name")

    def __init__(self, books):
        self._books = books
        self.name = "a"

    def remove(self, book):
        {remove}

    def title(self, loud=False, *rest, sep=", ", **more):
        return sep.join([self.name, *rest, *more]).upper() if loud else self.name


class Book:
    pass
"""
FIRST = "self._books.remove(book)"
ALL = "self._books = [one for one in self._books if one is not book]"


def _inner(remove: str, run: str) -> Probe:
    module = types.ModuleType("shelf")
    exec(compile(SOURCE.format(remove=remove), "shelf.py", "exec"), vars(module))
    with probed(Probe("shelf.py", ("Shelf.remove", "Shelf.title"), {}, "/project", keep=2)) as probe:
        exec(run, dict(vars(module)))
    vary = InnerVariation(module, probe.text, ("!",), {})
    probe.calls += vary.calls(probe.live, 1, time.monotonic() + 60)
    return probe


def test_a_list_of_objects_with_one_twice_shows_what_a_test_does_not():
    """Both versions remove one book; only one removes it where it stands twice, as the state of the instance shows."""
    run = "b = Book(); Shelf([b, Book()]).remove(b)"
    before, after = _inner(ALL, run), _inner(FIRST, run)
    assert before.calls[0] == after.calls[0]
    found = first_difference(before.calls, after.calls)
    assert found is not None and found[0].varied.startswith("self._books = [")
    assert found[0].varied == found[1].varied


def test_the_same_code_gives_the_same_calls():
    """What is drawn depends on the call alone, and the run's own objects stay as they are."""
    run = "s = Shelf([Book()]); s.title(True, 'x', sep='-', more=1)"
    before, after = _inner(ALL, run), _inner(ALL, run)
    assert len(before.calls) > 3 and before.calls == after.calls
    assert first_difference(before.calls, after.calls) is None


def test_two_errors_on_changed_arguments_differ_only_by_kind():
    """Another message of an error that nobody meant is no change of behaviour."""
    run = "b = Book(); Shelf([b]).remove(b)"
    other = "if len(self._books) > 1 or not self._books: raise ValueError({!r})\n        self._books = []"
    before, after = _inner(other.format("one"), run), _inner(other.format("two"), run)
    assert any("raises ValueError: one" in one.result for one in before.calls)
    assert first_difference(before.calls, after.calls) is None
