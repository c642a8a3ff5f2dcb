"""Triage of issues without a model: labels, possible duplicates, missing information, severity words, an owner.

Nothing here asks anybody or writes anything: an issue and what the repository knows go in, a :class:`kodo.ci.triage.job.Triage` comes
out, and ``plan`` makes the allowed writes of it.
"""
