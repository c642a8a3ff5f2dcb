"""Where state lives: one SQLite file."""
