"""Which extra of the package brings a module that is not installed.

The base installation is the client and the command line. ``pyproject.toml`` is the source of the table; a test
compares the two.
"""

from __future__ import annotations

MODULES: dict[str, str] = {
    "starlette": "server",
    "uvicorn": "server",
    "uvloop": "server",
    "httptools": "server",
    "websockets": "server",
    "python_multipart": "server",
    "backports": "server",
    "prometheus_client": "server",
    "cryptography": "server",
    "jinja2": "server",
    "opentelemetry": "otel",
    "jsonschema": "server",
    "xllamacpp": "server",
    "llguidance": "server",
    "huggingface_hub": "server",
    "unidiff": "review",
    "tree_sitter": "review",
    "yaml": "review",
    "tree_sitter_c": "review",
    "tree_sitter_go": "review",
    "tree_sitter_java": "review",
    "tree_sitter_javascript": "review",
    "tree_sitter_rust": "review",
    "tree_sitter_typescript": "review",
    "junitparser": "review",
    "libcst": "tests",
    "coverage": "tests",
    "pytest": "tests",
    "matplotlib": "plot",
    "mcp": "mcp",
    "anyio": "mcp",
    "gguf": "search",
    "numpy": "search",
    "openpyxl": "search",
    "pypdf": "search",
    "docx": "search",
    "pptx": "search",
    "trafilatura": "search",
    "obstore": "s3",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
}
"""Importable name -> extra. A module that two extras bring stands with the first of them."""


def explain(error: ModuleNotFoundError) -> str | None:
    """One line that says which extra to install; None if the module belongs to no extra, which is a fault of ours."""
    name = (error.name or "").partition(".")[0]
    extra = MODULES.get(name)
    if extra is None:
        return None
    return f"this command needs kodo's {extra!r} extra ({name} is not installed): pip install '.[{extra}]' in kodo's repository"
