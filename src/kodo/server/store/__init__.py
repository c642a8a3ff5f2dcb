"""Where state lives: one SQLite file (`sqlite`), or the memory of the process (`memory`)."""
