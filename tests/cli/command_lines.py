"""Runs a command line within the program of the tests."""

from uncrumple.cli.main import main


def run(*arguments, capsys):
    """Run a command line; return (exit code, what it printed to standard output, and to standard error)."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err
