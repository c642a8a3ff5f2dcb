"""The scorecard's own mutants."""

import ast

from bench.scorecard.mutants import mutants

SOURCE = '''"""Docstring."""

LIMIT: int = 3


def f(a: int, b: str = "x") -> bool:
    """At most 3."""
    if a < LIMIT and b:
        return b.strip() == "y"
    return a + 1 > 0
'''


def test_every_mutant_parses_and_differs_from_the_module_and_from_the_others():
    """A mutant that changes nothing would count against every suite."""
    found = mutants(SOURCE, 1000)
    original = ast.unparse(ast.parse(SOURCE))
    assert len(found) > 10
    assert len({ast.unparse(ast.parse(text)) for text in found} - {original}) == len(found)


def test_the_operators_do_what_they_say():
    """One example each of what is changed."""
    text = "\n----\n".join(mutants(SOURCE, 1000))
    for changed in ("a <= LIMIT", "a < LIMIT or b", "b == 'y'", "!= 'y'", "'y!'", "a - 1", "a + 2", ">= 0", "return None",
                    "if not (a < LIMIT and b)", "LIMIT: int = 4"):  # fmt: skip
        assert changed in text, changed


def test_docstrings_and_annotations_stay():
    """They do not run."""
    for text in mutants(SOURCE, 1000):
        assert '"""Docstring."""' in text
        assert '"""At most 3."""' in text
        assert "-> bool:" in text


def test_the_limit_spreads_over_the_module_and_the_choice_is_always_the_same():
    """Deterministic, in order, not only from the top."""
    few = mutants(SOURCE, 4)
    everything = mutants(SOURCE, 1000)
    assert few == mutants(SOURCE, 4)
    assert len(few) == 4
    positions = [everything.index(text) for text in few]
    assert positions == sorted(positions)
    assert positions[-1] >= len(everything) / 2
