"""The Assistants API: assistants, threads and runs, each turn of a run a response of the one lifecycle."""
