"""The command `uncrumple` and its subcommands.

A subcommand's module is imported when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from uncrumple.core.errors import UncrumpleWarning, unknown_name

# Each is a file with a `command`; the order is that of `--help`.
_COMMANDS = {
    "check": "uncrumple.cli.check",
    "preflight": "uncrumple.cli.preflight",
    "train": "uncrumple.cli.train",
    "explain": "uncrumple.cli.explain",
    "compare": "uncrumple.cli.compare",
    "predict": "uncrumple.cli.predict",
    "evaluate": "uncrumple.cli.evaluate",
    "summary": "uncrumple.cli.summary",
}
FOUND, MISTAKE, FAULT, STOPPED = 1, 2, 3, 130
_TRACEBACK = "UNCRUMPLE_TRACEBACK"


class _Commands(click.Group):
    """Finds subcommands by name, with did-you-mean."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            raise click.UsageError(unknown_name("command", name, _COMMANDS))
        return importlib.import_module(_COMMANDS[name]).command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="uncrumple")
def cli() -> None:
    """Train a network, see how good it is beside simpler models, and use it.

    \b
    uncrumple train digits                         handwritten digits, offline
    uncrumple check houses.csv --target price      what is wrong with the data
    uncrumple train houses.csv --target price      a table
    uncrumple train photos/                        a folder for each class
    uncrumple train reviews.csv --text review --target stars
    uncrumple train play.txt --speakers            who says which line
    uncrumple train play.txt                       the next character
    uncrumple explain runs/houses                  what its answers rest on
    uncrumple compare runs/houses runs/houses-2    which is better?
    uncrumple predict runs/houses new.csv

    \b
    Exit codes:
      0    done
      1    a serious fault was found (check, preflight; train --strict)
      2    a mistake in the command, or in what it was given
      3    a fault of uncrumple itself; UNCRUMPLE_TRACEBACK=1 shows where
      130  stopped by Ctrl-C
    """


def main(arguments: Any = None) -> None:
    """Run the command line; what goes wrong is said in one line, and by the exit code."""
    line = sys.argv[1:] if arguments is None else [str(one) for one in arguments]
    try:
        with _plain_warnings(line):
            code = cli.main(args=arguments, prog_name="uncrumple", standalone_mode=False)
        if isinstance(code, int) and code:
            sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "uncrumple"
        _say(f"{error.format_message()} ({where} --help)")
        sys.exit(MISTAKE)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(MISTAKE)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("\nStopped by Ctrl-C.", err=True)
        sys.exit(STOPPED)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `uncrumple predict ... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        if "\nFix: " in str(error):
            _say(_typed(str(error.args[0]) if isinstance(error, KeyError) else str(error), line))
            sys.exit(MISTAKE)
        if isinstance(error, OSError):
            where = f" ({error.filename})" if error.filename else ""
            _say(f"{error.strerror or error}{where}")
            sys.exit(MISTAKE)
        first = next(iter(str(error).splitlines()), "")
        _say(f"{type(error).__name__}: {first} This is a fault of uncrumple; {_TRACEBACK}=1 shows where.")
        sys.exit(FAULT)


def _say(text: str) -> None:
    """Print an error as one line."""
    click.echo(f"Error: {_one_line(text)}", err=True)


def _typed(text: str, line: list[str]) -> str:
    """Return what is said in Python in the words of the command that was typed."""
    from uncrumple.cli.fixes import typed

    name = next((word for word in line if word in _COMMANDS), "")
    if not name:
        return text
    return typed(text, name, options_of(name))


def options_of(name: str) -> list[str]:
    """Return the options that a command takes, as Python names."""
    command = importlib.import_module(_COMMANDS[name]).command
    return [str(one.name) for one in command.params if isinstance(one, click.Option)]


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


@contextlib.contextmanager
def _plain_warnings(line: list[str]) -> Iterator[None]:
    """Print uncrumple's warnings as one line each, on standard error, in the words of the line that was typed."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            if issubclass(category, UncrumpleWarning):
                click.echo(f"Warning: {_one_line(_typed(str(message), line))}", err=True)
            else:
                usual(message, category, *rest, **more)

        warnings.showwarning = show
        yield


if __name__ == "__main__":
    main()
