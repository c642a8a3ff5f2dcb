"""JavaScript inputs out of sources, and TypeScript without its types; node is not needed for either."""

import pytest

from kodo.jobs.review.javascript.behaviour import Row, can_run
from kodo.jobs.review.javascript.inputs import calls_in_tests, inputs, literals
from kodo.jobs.review.javascript.types import TypesError, without_types
from kodo.jobs.review.reading import read
from kodo.jobs.review.source import VersionsSource

TYPED = """import type { A } from './a';
import { b, type C, d } from "./b.js";
export interface P { x: number }
export function f<T extends string>(this: P, a: T, b?: number, ...rest: string[]): a is string {
  const q = (a as unknown as string)!.length;
  return q > (b ?? 0);
}
abstract class K<T> extends Base<T> implements P {
  private readonly x: number = 1;
  abstract go(): void;
  static async run(n: number): Promise<void> { return; }
}
"""


def test_types_are_blanked_out_and_everything_else_stays_in_its_place() -> None:
    """Lines and columns are those of the source, so a remark's place holds in both."""
    plain = without_types(TYPED)
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in TYPED.splitlines()]
    squeezed = " ".join(plain.split())
    assert squeezed.startswith('import { b, d } from "./b.js"; export function f ( a , b , ...rest ) {')
    assert "const q = (a ) .length; return" in squeezed
    assert "class K extends Base { x = 1; ; static async run(n ) { return; } }" in squeezed


def test_what_a_compiler_must_make_is_refused() -> None:
    """An enum, a namespace and a parameter property are no types."""
    for text in (
        "enum E { A }",
        "namespace N { export const x = 1 }",
        "class A { constructor(private x: number) {} }",
        "let x: = 1",
    ):
        with pytest.raises(TypesError):
            without_types(text)


def test_calls_of_literals_are_taken_out_of_tests() -> None:
    """Containers of literals count, calls with variables do not."""
    text = "it('x', () => { expect(lib.f({a: [1, -2]}, 'b')).toBe(g(y)); f(`t`); f(...z); });"
    found = [row for row in calls_in_tests(text, "javascript") if row[0] == "f"]
    assert found == [("f", ("{a: [1, -2]}", "'b'")), ("f", ("`t`",))]


def test_inputs_begin_with_seeds_and_hold_the_functions_literals() -> None:
    """The arguments of tests come first; texts and numbers of the code are tried; nothing is repeated."""
    source = "function f(a, b) { return a === 'zebra' ? b + 1742 : b; }"
    assert literals(source) == ["'zebra'", "1742"]
    made = inputs("f", (source,), [("'x'", "2")], 150)
    assert made[0] == ("f", ("'x'", "2")) and len(set(made)) == len(made) == 150
    assert any("'zebra'" in args for _, args in made) and any("1742" in args for _, args in made)


def test_a_function_without_parameters_is_called_once() -> None:
    """There is nothing to vary."""
    assert inputs("f", ("() => 1",), [], 50) == [("f", ())]


def test_two_accidents_of_made_up_values_are_no_difference() -> None:
    """A TypeError that became another says nothing; a value that became one does."""
    one, other = Row(1, "throws", "TypeError: a", "TypeError"), Row(1, "throws", "TypeError: b", "TypeError")
    assert not one.tells(other) and Row(1, "value", "1").tells(one)
    assert Row(1, "value", "1").rank(Row(1, "value", "2")) < Row(1, "value", "1").rank(one)


def test_only_modules_that_are_there_in_both_versions_are_run() -> None:
    """New files, tests, declarations and JSX are left alone."""
    before = {"a.js": "1;\n", "a.test.js": "1;\n", "a.d.ts": "1;\n", "b.jsx": "1;\n", "c.ts": "1;\n"}
    after = dict.fromkeys([*before, "new.js"], "2;\n")
    files = read(VersionsSource(before, after), 10_000).files
    assert sorted(file.path for file in files if can_run(file)) == ["a.js", "c.ts"]
