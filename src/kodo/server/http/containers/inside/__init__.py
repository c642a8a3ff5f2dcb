"""Programs that run inside a container: no import of them outside, none of ``kodo`` inside."""
