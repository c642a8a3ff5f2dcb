"""GitLab, by its REST API (v4)."""
