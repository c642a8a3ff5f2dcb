"""GitHub, by its REST API."""
