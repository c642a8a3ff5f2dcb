"""A file of requests in, a file of results out: the Batch API's line format, resumable after any kind of end."""
