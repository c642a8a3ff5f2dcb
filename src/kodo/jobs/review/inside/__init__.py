"""Programs that run in the sandbox, by path, beside the tests of a project. They stand alone: no import of kodo."""
