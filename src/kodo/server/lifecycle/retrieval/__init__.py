"""The search in vector stores: words and vectors, fused; without HTTP, SQL or engines."""
