"""The command `uncrumple` and its subcommands.

A subcommand's module is imported when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from uncrumple.core.errors import unknown_name

_COMMANDS = {
    "train": "uncrumple.cli.train",
    "evaluate": "uncrumple.cli.evaluate",
    "predict": "uncrumple.cli.predict",
    "summary": "uncrumple.cli.summary",
}


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
    uncrumple train digits           train on handwritten digits, offline
    uncrumple evaluate runs/digits   test it again on the same rows
    uncrumple predict runs/digits picture.png
    uncrumple summary runs/digits
    """


def main(arguments: Any = None) -> None:
    """Run the command line; a user's mistake is answered in three lines, without a traceback."""
    try:
        cli.main(args=arguments, prog_name="uncrumple", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("\nStopped by Ctrl-C.", err=True)
        sys.exit(130)
    except (ValueError, TypeError, OSError) as error:
        if "\nFix: " not in str(error):
            raise  # not a user's mistake: the traceback helps to mend it
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
