"""Types as values: what code that reads annotations and classes is given. Reads and writes source only."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable

from kodo.jobs.execution.param_types import ParamType

KIND = ParamType("kind")
SOURCES = (
    "int", "str", "list[int]", "dict[str, int]", "typing.Optional[int]", "int | None", "typing.Union[int, str]",
    "tuple[int, ...]", "typing.Any", "typing.TypeVar('T')", "typing.Optional[typing.TypeVar('T')]", "typing.Literal[1, 'a']",
    "typing.Annotated[int, 1]", "typing.NewType('N', int)", "typing.NamedTuple('P', [('x', int)])",
    "typing.TypedDict('D', {'x': int})", "dataclasses.make_dataclass('A', [('x', int)])", "enum.Enum('E', ['A', 'B'])",
    "set[int]", "collections.abc.Sequence[int]", "typing.Callable[[int], str]", "type('B', (), {})", "bool", "float", "bytes",
    "typing.Optional[typing.Any]", "list[typing.Any]", "dict[str, typing.Any]", "typing.ForwardRef('int')",
    "typing.ForwardRef('int | None')", "typing.ForwardRef('list[str | int]')", "typing.Generic", "typing.Generic[typing.TypeVar('T')]",
    "typing.ClassVar[int]", "typing.Final[int]", "typing.List", "typing.List[int]", "typing.Tuple[()]", "typing.Callable", "None",
    "typing.Dict[str, typing.Optional[int]]", "typing.TypeVar('T', bound=int)", "typing.TypeVar('T', int, str)",
    "typing.Type[int]", "types.new_class('G', (typing.Generic[typing.TypeVar('T')],))", "collections.OrderedDict[str, int]",
    "typing.List[typing.ForwardRef('int | str')]", "typing.Literal[1, typing.Literal['a', None]]", "typing.Union[int, 'str | None']",
    "dataclasses.InitVar[int]", "dataclasses.InitVar", "typing.Required[int]", "typing.NotRequired[int]", "typing.ClassVar", "typing.Final",
    "typing.Annotated[typing.ClassVar[int], 'a']", "typing.Literal[1, 'a', None, 1]",
)  # fmt: skip
"""Types of every form that there is for one."""
_FORMS = (
    "typing.Optional[{0}]", "typing.Union[{0}, str]", "list[{0}]", "typing.Annotated[{0}, 1]", "dict[str, {0}]", "tuple[{0}, ...]",
    "typing.Optional[typing.TypeVar('T')]", "typing.TypeVar('T')", "typing.Any", "typing.NewType('N', {0})", "typing.Literal[1]",
    "typing.Final[{0}]", "typing.ClassVar[{0}]",
)  # fmt: skip
"""What an annotation becomes; the hole is for the annotation that it was."""
_NAME = re.compile(r"^(?:cls?|klass|typ|type_?|tp|annotation|(?:type_)?hint|obj_?type|target_?type)$")
_ABOUT_TYPES = re.compile(
    r"\b(?:TypeVar|ForwardRef|_eval_type|get_origin|get_args|__origin__|__args__|get_type_hints|__annotations__|NoneType|issubclass|TypedDict|"
    r"is_(?:generic|union|optional|literal|annotated|sequence|mapping)\w*|__mro__|__subclasses__|fields)\b"
)


def is_kind(name: str, annotation: str) -> bool:
    """Whether a parameter takes a type, by its annotation or its name."""
    bare = annotation.partition("[")[0].rpartition(".")[2]
    return bare in ("type", "Type") or (bare in ("", "Any", "object") and bool(_NAME.match(name)))


def is_about_types(texts: Iterable[str]) -> bool:
    """Whether code asks of what form a type is."""
    return any(_ABOUT_TYPES.search(text) for text in texts)


_TYPING_NAMES = re.compile(
    r"\b(?:ForwardRef|get_origin|get_args|get_type_hints|_GenericAlias|GenericAlias|UnionType|TypeVar)\b"
)
_ON_TYPES = 2
"""Different names of typing's own that code reads when it works on types as values."""


def works_on_types(source: str) -> bool:
    """Whether code works on types as values, by the names of typing that stand in it."""
    return len(set(_TYPING_NAMES.findall(source))) >= _ON_TYPES


def retyped(line: str, rng: random.Random) -> str | None:
    """A statement that defines classes with one field of another type; None where it annotates none."""
    tree = ast.parse(line)
    fields = [
        one
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for one in node.body
        if isinstance(one, ast.AnnAssign)
    ]
    if not fields:
        return None
    field = rng.choice(fields)
    form = rng.choice(_FORMS).format(ast.unparse(field.annotation))
    field.annotation = ast.parse(form, mode="eval").body
    return ast.unparse(tree)
