"""The literals of code as arguments: each is replaced by a placeholder, so that it can be varied and made smaller."""

import ast
import copy
from collections.abc import Iterable

from kodo.jobs.execution.model import Arg
from kodo.jobs.execution.stated_facts import is_literal

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
