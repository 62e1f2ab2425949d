"""`uncrumple evaluate`: a run's network on its test part again."""

from __future__ import annotations

from typing import Any

import click

from uncrumple.cli.console import heading, lines, make_console, shared_options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
@shared_options
def command(run: str, data_dir: str | None, offline: bool) -> None:
    """Test the network of RUN, a folder that `train` wrote, on the same test rows again."""
    from uncrumple.cli.train import show_test
    from uncrumple.experiment import read_run
    from uncrumple.experiment.stages import test

    found = read_run(run)
    prepared: Any = found.prepared(data_dir, offline)
    judged, milliseconds = test(found.model, prepared)
    console = make_console()
    heading(console, f"{found.folder}: {found.settings['data']}, seed {found.settings['seed']}")
    lines(console, [f"{milliseconds:.3f} ms per row; the same rows as when it was trained"])
    show_test(console, prepared, judged)
