"""The command line: ``app`` finds and runs commands; each command has a module of its name."""
