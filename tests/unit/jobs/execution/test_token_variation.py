"""Texts whose numbers, case and brackets are varied while the rest stays as it is."""

import random

import pytest

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.token_variation import varied_tokens
from kodo.jobs.execution.worker.variation import Variations


def made(value, words=()):
    """What a few hundred draws make of a text."""
    rng = random.Random(0)
    return {varied_tokens(value, words, rng) for _ in range(400)} - {None}


@pytest.mark.parametrize(
    ("value", "words", "expected"),
    [
        ("2014-04-10T00:00", ("24",), "2014-04-10T24:00"),
        ("10:36:02", ("9",), "09:36:02"),
        ("12h", (), "infh"),
        ("CREATE TABLE t AS SELECT 1", (), "CREATE TABLE t as SELECT 1"),
        ("CREATE TABLE t AS SELECT 1", (), "create table t as select 1"),
        ("http://[::1]/a", (), "http://[]/a"),
        ("f(a, 'b')", (), "f(a, '')"),
        ("f(a)", (), "f(f(a))"),
        ("![a](b)", ("3",), "![![![![![a](b)](b)](b)](b)](b)"),
        ('Digest realm="a", qop="auth", nonce="b"', (), 'Digest realm="a", nonce="b"'),
        ("a=1&b=2", (), "a=1&b=2&b=2"),
        ("a=1&b=2", (), "b=2&a=1"),
    ],
)
def test_one_thing_is_another(value, words, expected):
    """What is between brackets may be the text itself, once deeper than a number of the change; a number of the change with the digits of the old one, a special number, a word's case, an empty pair of brackets, items of a list less, more or in another order."""
    assert expected in made(value, words)


def test_the_rest_stays_as_it_is():
    """A text without numbers, letters and brackets gives none; the separators of others stay."""
    assert made("--- ...") == set()
    assert all(":" in text for text in made("10:36"))


def test_variations_of_calls_use_them():
    """A call with a date is made with the number of the changed code in it."""
    call = Call(1, "parse", "parse(_0)", (Arg("text", "'2014-04-10T00:00'"),))
    vary = Variations([call], ["24"])
    texts = {one.args[0].source for n in range(600) if (one := vary.one(call, n)) is not None}
    assert any("T24:" in text for text in texts)
