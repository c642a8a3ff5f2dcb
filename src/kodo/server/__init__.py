"""The server: the API on one machine. `http` is its interface, `lifecycle` its core, `engines` and `store` its parts."""
