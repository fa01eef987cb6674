"""What the commands share: clean refusals, examples in help, and results as a table, CSV or JSON."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from recsys.errors import StylerecError

PATH = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

P = ParamSpec("P")
R = TypeVar("R")


class Clean(click.Group):
    """Turns what stylerec refuses into one red line and exit code 2; ``--debug`` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (StylerecError, OSError) as error:
            # A reader who has had enough (`| head`) is no error; click ends quietly.
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            refused = f"{type(error).__name__}: {error}"
            if isinstance(error, OSError) and not isinstance(error, StylerecError):
                refused = f"{error.strerror or error}: {error.filename or 'no file named'}"
            click.secho(refused, fg="red", err=True)
            ctx.exit(2)


def example(text: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Put an example at the end of a command's help."""

    def attach(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **kwargs)

        call.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n  {text}"
        return call

    return attach


def tell(line: str) -> None:
    """What happens, on standard error: standard output holds results only."""
    click.echo(line, err=True)


def tell_json(found: Any) -> None:
    """Results, for programs."""
    click.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))


def show(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    if as_json:
        tell_json(list(rows))
        return
    from study.show import table

    click.echo(table(rows))


def deliver(frame: Any, out: Path | None, as_json: bool) -> None:
    """Write a data frame as CSV, into a file or onto standard output, or print it as JSON."""
    if out is not None:
        from recsys.files import atomic_write

        with atomic_write(out, "w") as file:
            frame.to_csv(file, index=False)
        tell(f"{len(frame)} rows in {out}")
    elif as_json:
        show(frame.to_dict(orient="records"), as_json)
    else:
        frame.to_csv(sys.stdout, index=False)
