"""Programs that run in or on the way into the sandbox; each stands alone, on the standard library."""
