"""TypeScript without its types, by blanking them out: what is left is the same JavaScript at the same places.

Enumerations, namespaces and parameter properties mean something at run time and are refused.
"""

from __future__ import annotations

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

_BLANK = frozenset({
    "type_annotation", "type_arguments", "type_parameters", "interface_declaration", "type_alias_declaration",
    "accessibility_modifier", "override_modifier", "implements_clause", "abstract_method_signature", "function_signature",
    "method_signature", "ambient_declaration", "index_signature", "asserts_annotation", "type_predicate_annotation",
    "opting_type_annotation", "omitting_type_annotation",
})  # fmt: skip
_TOKENS = frozenset({"readonly", "abstract", "declare"})
_LISTED = frozenset({"required_parameter", "import_specifier", "export_specifier"})
_AFTER_FIRST = frozenset({"as_expression", "satisfies_expression", "non_null_expression"})
_MEANT = {
    "enum_declaration": "an enum",
    "internal_module": "a namespace",
    "module": "a namespace",
    "import_alias": "import =",
}


class TypesError(Exception):
    """The text cannot be run without its types; the message says why."""


def without_types(text: str, *, tsx: bool = False) -> str:
    """The JavaScript of a TypeScript file.

    Raises:
        TypesError: it does not parse, or has what only a compiler can make run.
    """
    grammar = tree_sitter_typescript.language_tsx() if tsx else tree_sitter_typescript.language_typescript()
    data = text.encode()
    root = Parser(Language(grammar)).parse(data).root_node
    if root.has_error:
        raise TypesError("it does not parse")
    out = bytearray(data)
    todo = [root]
    while todo:
        node = todo.pop()
        if node.type in _MEANT:
            raise TypesError(f"{_MEANT[node.type]} means something at run time")
        if _is_type(node):
            comma = node.next_sibling
            follows = node.type in _LISTED and comma is not None and comma.type == ","
            _blank(out, node.start_byte, comma.end_byte if follows and comma is not None else node.end_byte)
            continue
        if node.type == "required_parameter" and any(
            one.type == "accessibility_modifier" for one in node.children
        ):
            raise TypesError("a parameter property means something at run time")
        if node.type in _AFTER_FIRST and node.children:
            _blank(out, node.children[0].end_byte, node.end_byte)
            todo.append(node.children[0])
            continue
        todo += node.children
    return out.decode()


def _is_type(node: Node) -> bool:
    """Whether a node is there for the types alone."""
    if node.type in _BLANK:
        return True
    parent = node.parent
    if node.type in ("import_statement", "export_statement"):
        return any(one.type == "type" for one in node.children) or (
            node.type == "export_statement"
            and any(
                one.type in ("interface_declaration", "type_alias_declaration", "ambient_declaration")
                for one in node.children
            )
        )
    if node.type in ("import_specifier", "export_specifier"):
        return any(one.type == "type" for one in node.children)
    if node.type in ("?", "!"):
        return parent is not None and parent.type in (
            "optional_parameter", "public_field_definition", "variable_declarator", "method_definition",
        )  # fmt: skip
    if node.type == "required_parameter":
        return bool(node.child_count) and node.children[0].type == "this"
    return node.type in _TOKENS and not node.is_named


def _blank(out: bytearray, start: int, end: int) -> None:
    for at in range(start, end):
        if out[at] not in b"\r\n":
            out[at] = 32
