"""The command line: commands call, format and print; they compute nothing."""
