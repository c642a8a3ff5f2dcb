"""Sets of requests that need a call, with the right one."""
