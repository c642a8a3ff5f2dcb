"""The ``kodo`` command: one file per subcommand; parse, call one job, print one report."""
