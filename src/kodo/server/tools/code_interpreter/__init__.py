"""``code_interpreter`` and hosted ``shell``: Python and commands in a container."""
