"""Text under a grammar: the schema that is decoded, where the text stands in it, and its shortest valid ending."""
