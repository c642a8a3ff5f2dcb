"""The server: the API on one machine. `http` is its face, `lifecycle` its core, `engines` and `store` its parts."""
