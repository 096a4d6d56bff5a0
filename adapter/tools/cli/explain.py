"""`adapter explain`: show what becomes of one request, and why."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapter._exchange.endpoints import classify_request
from adapter.errors import TranslationError
from adapter.tools.connection_errors import is_http_url
from adapter.tools.explain.explain import URL, CallOrigin, Explanation, SentRequest, explain
from adapter.tools.explain.request_files import FoundRequest, NotARequest, find_request
from adapter.tools.explain.shortening import shortened

from .console import (
    EXIT_FINDINGS,
    Json,
    SettingsFile,
    UsageError,
    err,
    load_settings,
    out,
    print_json,
    read_file_argument,
    read_stdin,
)
from .row_options import BodyPath, FormatsFile, row_formats

_TERMINAL_CHARACTERS = 20_000  # of a body on the terminal
_MAX_LINES = 40  # of the conversion report
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_URL_OF_REQUEST = "the request's URL"
_STYLES = {
    "moves": "green",
    "left out": "dim",
    "passed on": "green",
    "changed": "yellow",
    "clamped": "yellow",
    "dropped": "yellow",
    "holds": "bold red",
    "refused": "bold red",
}


def explain_(  # noqa: PLR0917  # a command's options
    request: Annotated[
        str | None,
        typer.Argument(
            metavar="REQUEST.json",
            help="A chat request: its body, a log row around it as audit reads it, a line of JSONL "
            "or of a batch file. - or nothing: stdin.",
        ),
    ] = None,
    settings: SettingsFile = None,
    line: Annotated[
        int | None,
        typer.Option(
            min=1, help="Which line of a JSONL file, or request of a document; else the first."
        ),
    ] = None,
    body_path: BodyPath = None,
    formats: FormatsFile = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="The endpoint that it was sent to; for Azure, with deployment and api-version."
        ),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="As in use(tag=…), for rules.")] = None,
    conversation: Annotated[
        str | None, typer.Option(help="As in use(conversation=…), for rollouts.")
    ] = None,
    call_site: Annotated[
        str | None, typer.Option(help="The caller as module:function, for rules.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="A header of the request; may be repeated."),
    ] = None,
    contents: Annotated[
        bool,
        typer.Option(help="Show texts; --no-contents shows only the structure, to share it."),
    ] = True,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Show all of a large request; by default long texts and files are cut."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 1 if the call can't go to the Responses API."),
    ] = False,
    json_: Json = False,
) -> None:
    """Show the Responses request for a chat request, with its conversion report and its routing.

    Nothing is sent. The translation is shown whatever `backend` says. Exit codes: 0; 1 with
    --check, if the call would be kept on Chat Completions or refused even when `backend` selects
    the Responses API; 2 if the input isn't a request.
    """
    given, headers = None if url is None else _url(url), _headers(header or [])
    in_force, file = load_settings(settings)
    found = _read(request, line, row_formats(body_path, formats))
    where = CallOrigin(
        given or _url(found.url, _URL_OF_REQUEST), headers, tag, conversation, call_site
    )
    try:
        explained = explain(found.body, in_force, where)
    except TranslationError as error:
        inside = ".".join(found.inside)
        path = error.path if contents else _import_masking().masked_path(error.path)
        raise UsageError(f"{path}: {error.why}" + (f" (in {inside})" if inside else "")) from None
    if "messages" in found.missing:
        err().print(
            Text("messages: not in the log; a stand-in is shown in their place", style="dim")
        )
    if found.lines > 1 and line is None:
        err().print(
            Text(
                f"line {found.line}, the first of {found.lines}; --line chooses another",
                style="dim",
            )
        )
    body, path = found.body, urlsplit(where.url).path
    if not contents:
        hide = _import_masking()
        explained, body, path = (
            hide.without_contents(explained),
            hide.masked(body),
            hide.masked_url_path(path),
        )
    if json_:
        print_json(
            document(explained, body, settings_file=file, shorten=BodyShortener(whole=whole))
        )
    else:
        _show(
            out(),
            explained,
            body,
            settings_file=file,
            path=path,
            shorten=BodyShortener(whole=whole, max_characters=_TERMINAL_CHARACTERS),
        )
    if check and not explained.moves:
        raise typer.Exit(EXIT_FINDINGS)


def _import_masking() -> Any:
    """Import the masking of requests, which loads all of the SDK's types."""
    from adapter.tools.explain import masking

    return masking


def _read(request: str | None, line: int | None, formats: Any) -> FoundRequest:
    if request in (None, "-"):
        if request is None and sys.stdin is not None and sys.stdin.isatty():
            raise UsageError("no request: name a file, or pipe one in (-)")
        text, name = read_stdin(), "stdin"
    else:
        assert request is not None
        name = request
        text = read_file_argument(Path(request))
    try:
        return find_request(text, line, formats)
    except NotARequest as error:
        raise UsageError(f"{name}: {error}") from None


def _url(url: str | None, name: str = "--url") -> str:
    if url is None:
        return URL
    if url.startswith("/"):  # as in batch files
        url = f"https://{urlsplit(URL).netloc}{url}"
    if not is_http_url(url):
        raise UsageError(f"{name}: expected http(s)://host/path")
    parts = urlsplit(url)
    if classify_request("POST", f"{parts.path}?{parts.query}".encode()) != "chat":
        raise UsageError(f"{name}: not the path of a chat request (…/chat/completions)")
    return url


def _headers(given: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(map(str.strip, one.partition(":"))) for one in given]
    for name, colon, value in pairs:
        if (
            not colon
            or not _TOKEN.fullmatch(name)
            or not (value.isascii() and (value.isprintable() or not value))
        ):
            raise UsageError("--header: expected NAME:VALUE, in ASCII")
    return tuple((name, value) for name, _, value in pairs)


class BodyShortener:
    """Cuts bodies to a maximum length, unless they are shown whole; records whether any was cut."""

    def __init__(self, *, whole: bool = False, max_characters: int = 200_000) -> None:
        self.whole, self.max_characters, self.was_cut = whole, max_characters, False

    def __call__(self, body: Any) -> Any:
        """Return a body as it is to be shown."""
        if self.whole:
            return body
        cut = shortened(body, self.max_characters)
        self.was_cut = self.was_cut or cut != body
        return cut


def document(
    explained: Explanation, body: Any, *, settings_file: Path | None, shorten: BodyShortener
) -> dict[str, Any]:
    """Return the document of `--json`."""

    def sent(one: SentRequest | None) -> dict[str, Any] | None:
        return (
            None
            if one is None
            else {"path": one.path, "requests": one.requests, "body": shorten(one.body)}
        )

    decision = explained.decision
    chat, translated = shorten(body), sent(explained.translated)
    return {
        "moves": explained.moves,
        "decision": {
            "backend": decision.backend,
            "asked": decision.asked,
            "reason": decision.reason,
            "losses": [asdict(loss) for loss in decision.losses],
            "settings_hash": decision.settings_hash,
            "settings_file": str(settings_file) if settings_file else None,
            "rule": explained.rule,
            "rollout": asdict(explained.rollout) if explained.rollout else None,
            "error": explained.error,
        },
        "responses": translated,
        "losses": [asdict(loss) for loss in explained.losses],
        "refusal": explained.refusal,
        "parameters": [asdict(fate.redacted()) for fate in explained.parameters],
        "emulated": list(explained.emulated),
        "one_way": explained.responses_only_reason,
        "fallback": dict(explained.fallback),
        "model": {"name": shorten(explained.model), **explained.model_facts},
        "chat": {"body": chat},
        "shortened": shorten.was_cut,
    }


def _show(
    console: Console,
    explained: Explanation,
    body: Any,
    *,
    settings_file: Path | None,
    path: str,
    shorten: BodyShortener,
) -> None:
    bodies = Table(box=box.HORIZONTALS, expand=True)
    bodies.add_column(Text(f"POST {path}", style="bold cyan"), ratio=1, overflow="fold")
    translated = explained.translated
    title = f"POST {translated.path}" if translated else "nothing goes to the Responses API"
    if translated and translated.requests > 1:
        title += f"  × {translated.requests}"
    bodies.add_column(
        Text(title, style="bold cyan" if translated else "bold red"), ratio=1, overflow="fold"
    )
    right = "" if translated is None else _pretty(shorten(translated.body))
    if explained.refusal:
        right = str(explained.refusal["message"])
    elif translated is None:
        right = "\n".join(_first_lines(f"{loss.path}: {loss.why}" for loss in explained.losses))
    bodies.add_row(Text(_pretty(shorten(body))), Text(right))
    console.print(bodies)
    if shorten.was_cut:
        console.print(Text("Long texts and files are cut; --whole shows them.", style="dim"), "")

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("parameter", "outcome", "Responses field", "class"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    for fate in (one.redacted() for one in explained.parameters):
        table.add_row(
            Text(fate.name),
            Text(fate.outcome, style=_STYLES[fate.outcome]),
            Text(fate.to or "–"),
            Text(fate.fate or "–"),
            Text(fate.why),
        )
    console.print(table)
    if explained.losses:
        console.print(Text("conversion report", style="bold"))
        for line in _first_lines(f"  {loss}" for loss in explained.losses):
            console.print(Text(line))
        console.print()
    for label, text in _decision_lines(explained, settings_file):
        console.print(Text.assemble((f"{label:<12}", "bold"), text))


def _first_lines(lines: Iterable[str]) -> list[str]:
    """Return the first lines, and the number of the others."""
    listed = list(lines)
    return listed[:_MAX_LINES] + (
        [f"… {len(listed) - _MAX_LINES:,} more, in --json"] if len(listed) > _MAX_LINES else []
    )


def _pretty(body: Any) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)


_REASON_TEXT = {
    "force": "the kill switch `force`",
    "header": "its header x-adapter-backend",
    "use": "use(...)",
    "rule": "a rule",
    "rollout": "the rollout",
    "settings": "the setting `backend`",
    "hosts": "its host isn't among `hosts`",
    "unsupported": "it uses a feature only Chat Completions has",
    "refused": "the policy refuses it",
    "adapter-bug": "the adapter itself fails on it: please report it",
}


def _decision_lines(
    explained: Explanation, settings_file: Path | None
) -> Iterator[tuple[str, str]]:
    decision = explained.decision
    place = f"{decision.settings_hash}, {settings_file or 'defaults and environment'}"
    yield "settings", place
    destination = (
        "an error, nothing is sent"
        if explained.error
        else {"chat": "Chat Completions", "responses": "the Responses API"}[decision.backend]
    )
    reason = _REASON_TEXT.get(decision.reason, decision.reason)
    yield "goes to", f"{destination}: {reason} ({decision.reason}; asked for {decision.asked})"
    if explained.rule is not None:
        yield "rule", f"rules[{explained.rule}] matches"
    if explained.rollout is not None:
        one = explained.rollout
        bucket = (
            "chosen at random for each request"
            if one.place is None
            else f"bucket {one.place:.2f}: uses the Responses API once the rollout exceeds it"
        )
        yield "rollout", f"{one.percent:g} %, by {one.sticky_by}: {bucket}"
    if decision.asked == "chat" and decision.reason != "hosts":  # nothing overrides `hosts`
        would = "it would move as shown" if explained.moves else "it couldn't move"
        yield "if chosen", f'{would}, with backend = "responses"'
    for name in explained.emulated:
        yield "emulates", f"{name}, in the adapter"
    if explained.responses_only_reason:
        why = explained.responses_only_reason
        yield "no fallback", f"Responses-only, never sent to Chat Completions: {why}"
    for reason, what in explained.fallback.items():
        yield "falls back", f"{reason}: {what}"
    shutdown = explained.model_facts.get("shutdown")
    if shutdown:
        yield "model", f"{explained.model} is served until {shutdown}"
