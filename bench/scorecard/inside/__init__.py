"""What the scorecard runs inside the sandbox; imports nothing of kodo."""
