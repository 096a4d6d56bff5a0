"""Collect the commands in one typer application."""

from __future__ import annotations

import typer

from adapter.cli.audit import audit
from adapter.cli.demo import demo
from adapter.cli.doctor import doctor
from adapter.cli.explain import explain_
from adapter.cli.force import force_
from adapter.cli.scan import scan_
from adapter.cli.schema import schema

app = typer.Typer(
    name="adapter", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback()
def adapter() -> None:
    """Run Chat Completions code on the Responses API."""


app.command("audit")(audit)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("explain")(explain_)
app.command("force")(force_)
app.command("scan")(scan_)
app.command("schema")(schema)
