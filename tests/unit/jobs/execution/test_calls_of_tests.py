"""Calls out of a project's tests, with what they need and without a test runner."""

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.calls_of_tests import calls_of_tests

SOURCE = '''
import pytest
from .helpers import make
from pkg.shop import Cart, price

RATE = 2

def double(x):
    return x * RATE

@pytest.fixture
def cart():
    return Cart()

def test_total(cart):
    """A sentence."""
    cart.add("apple", double(3))
    assert cart.total() == 6
    with pytest.raises(ValueError):
        cart.add("", 1)

@pytest.mark.parametrize(("name", "cost"), [("a", 1), ("b", 2)])
def test_price(name, cost):
    assert price(name) == cost

def test_browser(selenium):
    assert price("a")

class TestCart:
    def setup_method(self):
        self.cart = Cart()

    def test_len(self):
        self.assertEqual(len(self.cart), 0)
'''


def lines(call):
    """The whole call as statements."""
    return [*filled_setup(call), filled(call)]


def test_what_a_test_looks_at_comes_with_the_statements_before_it():
    """Imports, helpers, constants and fixtures that are named come first; assertions are left out."""
    calls = list(calls_of_tests(SOURCE, "pkg.tests", {"total"}))
    total = next(call for call in calls if call.expression == "cart.total()")
    assert lines(total) == [
        "from pkg.shop import Cart", "RATE = 2", "def double(x):\n    return x * RATE",
        "def cart():\n    return Cart()", "cart = cart()", "cart.add('apple', double(3))", "cart.total()",
    ]  # fmt: skip
    refused = next(call for call in calls if filled(call) == "cart.add('', 1)")
    assert "cart.add('apple', double(3))" in lines(refused)


def test_literals_are_arguments():
    """A literal of the setup or of the expression can be varied."""
    calls = list(calls_of_tests(SOURCE, "", {"total"}))
    total = next(call for call in calls if call.expression == "cart.total()")
    assert [arg.source for arg in total.args] == ["'apple'", "3"]


def test_rows_of_parameters_and_test_classes():
    """Each of the first rows is a call; a test class is made and set up."""
    written = [lines(call) for call in calls_of_tests(SOURCE, "", set())]
    assert ["from pkg.shop import price", "name = 'a'", "cost = 1", "price(name)"] in [
        one for one in written if "Cart" not in one[0]
    ]
    assert any(one[-1] == "len(self.cart)" and "self.setup_method()" in one for one in written)


def test_a_fixture_that_cannot_be_made_leaves_the_test_out():
    """Nothing is taken from a test that needs a plugin's fixture, nor from a file that does not parse."""
    assert not any(filled(call) == "price('a')" for call in calls_of_tests(SOURCE, "", set()))
    assert list(calls_of_tests("def test_(:", "", set())) == []


def test_relative_imports_are_those_of_the_test_package():
    """A helper beside the tests is imported by its full name; outside of a package it is left out."""
    source = "from .helpers import make\n\ndef test_it():\n    assert make(1) == 2\n"
    (call,) = calls_of_tests(source, "pkg.tests", set())
    assert call.setup == ("from pkg.tests.helpers import make",)
    (call,) = calls_of_tests(source, "", set())
    assert call.setup == ()
