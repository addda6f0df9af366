"""The command line: one file a verb. It draws, asks, prints, and maps errors to exit codes."""
