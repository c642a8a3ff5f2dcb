"""JSON exactly as it crosses HTTP: frozen msgspec Structs and the checks that need no state."""
