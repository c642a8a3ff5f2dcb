"""CI systems: event in, job, report out."""
