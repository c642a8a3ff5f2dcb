"""Results of one function as arguments of another."""

from __future__ import annotations

from kodo.jobs.execution.model import Arg, Call, Observed
from kodo.jobs.testgen import Options
from kodo.jobs.testgen import testgen as generate
from kodo.jobs.testgen.fed_results import fed


def _call(at: int, name: str, source: str) -> Call:
    return Call(at, name, f"{name}(_0)", (Arg("x", source),))


def test_a_result_takes_the_place_of_an_argument_of_its_kind():
    """Of other functions only, without what a run would try anyway, and what was stated of the call is not asked of another."""
    calls = [
        _call(1, "encode", "'é'"),
        _call(2, "encode", "3"),
        _call(3, "decode", "'a'"),
        _call(4, "decode", "b'a'"),
    ]
    texts = {1: "'%C3%A9'", 2: "['x', 'y']", 3: "'a'", 4: "None"}
    seen = {at: Observed(at, "value", text) for at, text in texts.items()}
    assert [(one.expression, one.args[0].source, one.id) for one in fed(["decode"], calls, seen)] == [
        ("decode(_0)", "'%C3%A9'", 0)
    ]


def test_a_result_that_is_no_literal_is_not_handed_on():
    """Nor what a call raised, or what an iterator gave."""
    calls = [_call(at, "make", f"'{at}'") for at in range(3)] + [_call(3, "read", "'a'")]
    seen = {
        0: Observed(0, "value", "Box('long')"),
        1: Observed(1, "raises", "ValueError"),
        2: Observed(2, "value", "['abc']", "list"),
        3: Observed(3, "value", "None"),
    }
    assert list(fed(["read"], calls, seen)) == []


ENCODE = '''"""Doc."""


def encode(text: str) -> str:
    """Doc."""
    data = text.encode()
    return f"~{sum(data) % 97:02d}:{data.hex()}" if data else ""
'''
DECODE = '''"""Doc."""


def decode(text: str) -> str:
    """Doc."""
    if not text.startswith("~"):
        return ""
    total, _, digits = text[1:].partition(":")
    if not digits or len(digits) % 2 or set(digits) - set("0123456789abcdef"):
        return "?"
    data = bytes.fromhex(digits)
    if not total.isdigit() or sum(data) % 97 != int(total):
        return "??"
    return data.decode(errors="replace")
'''


def test_a_decoder_is_tested_with_what_the_encoder_beside_it_writes(tmp_path):
    """The one knows nothing of the other, and no guess meets the sum of the digits."""
    package = tmp_path / "site-packages" / "pair"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "_encode.py").write_text(ENCODE)
    (package / "_decode.py").write_text(DECODE)
    report = generate(package / "_decode.py", Options())
    assert report.after.line_rate == 1.0
    assert "~" in report.text
