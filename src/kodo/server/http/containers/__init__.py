"""Containers: a Python and a shell with files, in the sandbox, for ``code_interpreter`` and hosted ``shell``."""
