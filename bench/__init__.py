"""Benchmarks and the scorecard: programs that measure kodo from outside. Not part of the package."""
