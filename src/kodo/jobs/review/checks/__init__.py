"""kodo's own checks: what ruff and bandit miss and reviewers mind, only where the answer is nearly certain.

``file_checks`` runs those that read a text as it is, ``diff_checks`` those that compare it with what it was.
"""
