"""What a job found, and the ways to show it.

``model`` holds the values; every other module turns one ``ReviewReport`` into one format. Nothing here reads a
file, runs an analyser or asks a model.
"""
