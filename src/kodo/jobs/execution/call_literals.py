"""The literals of code as arguments: each is replaced by a placeholder, so that it can be varied and made smaller."""

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.literal_value import is_literal

_MAX_LITERALS = 12
_MAX_CONTAINER = 3000


def with_placeholders(
    statements: Iterable[ast.stmt], expression: ast.expr
) -> tuple[list[ast.stmt], ast.expr, tuple[Arg, ...]]:
    """Copies of statements and an expression in which ``_0``, ``_1``... stand for the literals, and the literals.

    Those of the expression come first. A container of literals alone is one literal. At most 12 are replaced.
    """
    literals = _Literals()
    seen = literals.visit(copy.deepcopy(expression))
    before = [literals.visit(copy.deepcopy(statement)) for statement in statements]
    return before, seen, tuple(literals.args)


def opened(call: Call) -> Call:
    """The same call with the literals inside its arguments and its setup as arguments of their own: of ``f(_0)`` with
    ``date(2024, 3, 15)`` three numbers, of ``shop = Shop('a')`` before it a text.
    """
    try:
        expression = ast.parse(call.expression, mode="eval").body
        trees = [ast.parse(line).body for line in call.setup]
    except (SyntaxError, ValueError):
        return call
    if any(len(body) != 1 for body in trees):
        return call
    before = [body[0] for body in trees]
    literals = _Opening({f"_{at}": arg for at, arg in enumerate(call.args)}, [expression, *before])
    seen = literals.visit(expression)
    setup = [literals.visit(statement) for statement in before]
    return msgspec.structs.replace(
        call,
        expression=ast.unparse(seen),
        setup=tuple(ast.unparse(statement) for statement in setup),
        args=tuple(literals.args),
    )


class _Literals(ast.NodeTransformer):
    """Turn literals into placeholders and keep their sources."""

    def __init__(self) -> None:
        self.args: list[Arg] = []

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) in (str, int, float, bytes, bool) and len(self.args) < _MAX_LITERALS:
            self.args.append(Arg(f"literal_{len(self.args)}", repr(node.value)))
            return ast.Name(f"_{len(self.args) - 1}", ast.Load())
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._whole(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._whole(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        return self._whole(node)

    def _whole(self, node: ast.List | ast.Tuple | ast.Dict) -> ast.AST:
        """A container of literals alone is one argument, so that items can be added; of any other, the literals in it."""
        if isinstance(node, ast.Dict) or isinstance(node.ctx, ast.Load):
            source = ast.unparse(node)
            if 2 < len(source) < _MAX_CONTAINER and is_literal(source) and len(self.args) < _MAX_LITERALS:
                self.args.append(Arg(f"literal_{len(self.args)}", source))
                return ast.Name(f"_{len(self.args) - 1}", ast.Load())
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node


class _Opening(_Literals):
    """Literals beside the arguments that are given: of one that is no literal, those in it, where it is used once."""

    def __init__(self, given: Mapping[str, Arg], trees: Iterable[ast.AST]) -> None:
        super().__init__()
        self._given = given
        self._taken: dict[str, ast.Name] = {}
        names = (node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name))
        self._uses = Counter(names)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        arg = self._given.get(node.id)
        if arg is None:
            return node
        if self._uses[node.id] == 1 and not is_literal(arg.source):
            inner: ast.AST = self.visit(ast.parse(arg.source, mode="eval").body)
            return inner
        if node.id not in self._taken:
            self._taken[node.id] = ast.Name(f"_{len(self.args)}", ast.Load())
            self.args.append(arg)
        return self._taken[node.id]
