"""Running foreign Python: what a module defines, calls to try, and what each call does, seen in the sandbox."""
