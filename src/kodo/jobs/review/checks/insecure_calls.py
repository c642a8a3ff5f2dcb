"""Security in Python that ruff and bandit have no rule for, or a rule that is wrong too often."""

import ast
import re
from collections.abc import Iterator, Sequence

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_node
from kodo.jobs.review.python import ParsedModule, dotted

_SECRET = re.compile(
    r"(?i)(?:^|_)(password|passwd|secret|api_?key|access_?token|auth_?token|private_?key|credentials?)$"
)
_DIGEST = re.compile(
    r"(?i)(?:^|_)(signature|hmac|digest|mac|csrf_?token|api_?key|secret|auth_?token|reset_?token|expected_?sig)$"
)
_FOR_SECRETS = re.compile(
    r"(?i)(?:^|_)(token|secret|password|passwd|nonce|otp|salt|session_?id|api_?key|csrf|pin_?code)s?(?:$|_)"
)
_REQUEST = re.compile(
    r"\b(?:request|req|flask\.request)\.(?:args|form|values|json|files|GET|POST|query_params|params|cookies)\b"
)
_SQL = re.compile(
    r"(?i)\s*(?:SELECT\s.+\sFROM|SELECT\s|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|REPLACE\s+INTO)\b",
    re.DOTALL,
)
_VALUE_FOLLOWS = re.compile(
    r"(?i)(?:=|<>|<|>|\bLIKE|\bIN|\bVALUES|\bBETWEEN|\bAND|\bLIMIT|\bOFFSET)\s*\(?(?:[^()]*,)?\s*['\"%]*$"
)
_RANDOM = frozenset(
    f"random.{name}"
    for name in ("random", "randint", "choice", "choices", "randrange", "getrandbits", "sample", "uniform")
)
_LOGGERS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})


def timing_comparison(module: ParsedModule) -> Iterator[Candidate]:
    """A signature or token compared by ``==``, whose time tells how much of it was right."""
    for node in module.nodes:
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        named = [last for side in sides if (last := dotted(side).rpartition(".")[2]) and _DIGEST.search(last)]
        calls = [side for side in sides if _makes_digest(side)]
        keyed = any("hmac." in ast.unparse(call) for call in calls)
        if len(named) == len(sides) or (named and calls) or keyed:
            yield report_node(module, node, "timing", ast.unparse(node))


def _makes_digest(node: ast.expr) -> bool:
    """Whether a node is a call that computes a digest."""
    if not isinstance(node, ast.Call):
        return False
    if dotted(node.func).endswith((".hexdigest", ".digest")):
        return True
    return isinstance(node.func, ast.Attribute) and "hmac." in ast.unparse(node)


def predictable_secret(module: ParsedModule) -> Iterator[Candidate]:
    """A token, password or nonce made with the ``random`` module."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or dotted(node.func) not in _RANDOM:
            continue
        function = module.function_of(node)
        names = [function.name] if function else []
        for parent in module.ancestors(node):
            if isinstance(parent, ast.Assign):
                names += [dotted(target).rpartition(".")[2] for target in parent.targets]
            elif isinstance(parent, ast.keyword) and parent.arg:
                names.append(parent.arg)
            elif isinstance(parent, ast.stmt):
                break
        if name := next((name for name in names if _FOR_SECRETS.search(name)), ""):
            yield report_node(module, node, "guessable", name)


def logged_secret(module: ParsedModule) -> Iterator[Candidate]:
    """A password or key written to a log or printed."""
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        owner, _, method = name.rpartition(".")
        logs = method in _LOGGERS and owner.rpartition(".")[2].lower() in {
            "log",
            "logger",
            "logging",
            "_log",
            "_logger",
        }
        if not logs and name != "print":
            continue
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            secret = next(
                (
                    last
                    for part in _shown(argument)
                    if (last := dotted(part).rpartition(".")[2]) and _SECRET.search(last)
                ),
                "",
            )
            if secret:
                yield report_node(module, node, "logged-secret", secret)
                break


def _shown(argument: ast.expr) -> Iterator[ast.AST]:
    """The names whose values end up in the text of an argument, not those handed to a call (``len(password)``)."""
    todo: list[ast.AST] = [argument]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield node
        elif isinstance(node, (ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.Tuple, ast.Dict)):
            todo.extend(ast.iter_child_nodes(node))
        elif isinstance(node, ast.Call) and dotted(node.func) in {"str", "repr"}:
            todo.extend(node.args)


def path_from_request(module: ParsedModule) -> Iterator[Candidate]:
    """A path made of what a request or an upload says it is called."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and dotted(node.func) in {
            "os.path.join",
            "open",
            "Path",
            "pathlib.Path",
            "send_file",
            "os.remove",
        }:
            for argument in node.args:
                text = ast.unparse(argument)
                if _REQUEST.search(text) or re.search(
                    r"\b(?:upload|uploaded|file|upload_file)\w*\.filename$", text
                ):
                    yield report_node(module, node, "path-from-request", text)
                    break
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            text = ast.unparse(node.right)
            if _REQUEST.search(text) or re.search(
                r"\b(?:upload|uploaded|file|upload_file)\w*\.filename$", text
            ):
                yield report_node(module, node, "path-from-request", text)


def token_not_verified(module: ParsedModule) -> Iterator[Candidate]:
    """A JWT decoded without looking at its signature."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or not dotted(node.func).endswith("jwt.decode"):
            continue
        for keyword in node.keywords:
            text = ast.unparse(keyword.value)
            off = (keyword.arg == "verify" and text == "False") or (
                keyword.arg == "options" and re.search(r"verify_signature'?\"?: False", text)
            )
            if off or (keyword.arg == "algorithms" and "none" in text.lower()):
                yield report_node(module, node, "jwt-unverified")
                break


def sql_from_parts(module: ParsedModule) -> Iterator[Candidate]:
    """SQL put together from text and a value: by f-string, ``%``, ``+`` or ``format``, where a parameter belongs."""
    for node in module.nodes:
        parts = _parts(node) if isinstance(node, ast.expr) else []
        if (
            not isinstance(node, ast.expr)
            or not parts
            or isinstance(module.parents.get(node), (ast.BinOp, ast.JoinedStr))
        ):
            continue
        first = parts[0]
        if not isinstance(first, str) or not _SQL.match(first):
            continue
        text = ""
        for part in parts:
            if isinstance(part, str):
                text += part
                continue
            if _VALUE_FOLLOWS.search(text) and not _harmless(module, part):
                yield report_node(module, node, "sql-from-parts", ast.unparse(part))
                break
            text += "x"


def _parts(node: ast.AST) -> list[str | ast.expr]:
    """The texts and values that an expression joins into one text, in order; none if it does not."""
    if isinstance(node, ast.JoinedStr):
        return [
            str(value.value)
            if isinstance(value, ast.Constant)
            else value.value
            if isinstance(value, ast.FormattedValue)
            else value
            for value in node.values
        ]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _parts(node.left) or _leaf(node.left), _parts(node.right) or _leaf(node.right)
        return [*left, *right]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        return _woven(re.split(r"%[sdr]", str(node.left.value)), values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        pattern = node.func.value
        return (
            _woven(re.split(r"\{\d*\}", str(pattern.value)), node.args)
            if isinstance(pattern, ast.Constant)
            else []
        )
    return []


def _leaf(node: ast.expr) -> list[str | ast.expr]:
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else [node]


def _woven(texts: list[str], values: Sequence[ast.expr]) -> list[str | ast.expr]:
    if len(texts) != len(values) + 1:
        return []
    woven: list[str | ast.expr] = [texts[0]]
    for value, text in zip(values, texts[1:], strict=True):
        woven += [value, text]
    return woven


def _harmless(module: ParsedModule, value: ast.expr) -> bool:
    """Whether a value put into SQL cannot carry user input: a constant, a number, a row of placeholders."""
    if isinstance(value, ast.Constant) or (
        isinstance(value, ast.Call) and dotted(value.func) in {"int", "float", "len"}
    ):
        return True
    last = dotted(value).rpartition(".")[2]
    if last.isupper():
        return True
    scope = module.function_of(value) or module.tree
    made = [ast.unparse(node.value) for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and any(dotted(target) == last for target in node.targets)]  # fmt: skip  # one list
    made.append(ast.unparse(value) if not last else "")
    return any("'?" in text or "'%s" in text or "placeholder" in text for text in made)


CHECKS = (
    sql_from_parts,
    timing_comparison,
    predictable_secret,
    logged_secret,
    path_from_request,
    token_not_verified,
)
