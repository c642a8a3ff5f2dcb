"""kodo's own checks: what ruff and bandit miss and reviewers mind, only where the answer is nearly certain.

`whole` ones look at a text as it is, `change` ones compare it with what it was.
"""
