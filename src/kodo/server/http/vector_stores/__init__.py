"""Vector stores: files that are read, cut into chunks and indexed in the background; the work survives a crash."""
