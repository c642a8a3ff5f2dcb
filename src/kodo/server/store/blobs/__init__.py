"""Blobs: a folder, or a bucket that speaks S3, behind the port of :mod:`kodo.server.lifecycle.blobs`."""
