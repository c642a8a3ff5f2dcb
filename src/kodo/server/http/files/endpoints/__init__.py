"""The HTTP endpoints of files and uploads, one module a resource."""
