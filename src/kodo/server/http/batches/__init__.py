"""The Batch API: files of requests, run in the background over the one lifecycle; they survive a crash."""
