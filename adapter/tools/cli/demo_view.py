"""Show two runs of a program side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .demo_runs import Program, RequestAndReply, RunResult


def side_by_side(
    console: Console, program: Program, outcomes: Sequence[RunResult], *, same: bool
) -> None:
    """Print one program's two outcomes in two columns of equal width."""
    table = Table(
        title=f"{program.title}  (programs/{program.name}.py)",
        title_justify="left",
        title_style="bold",
        box=box.HORIZONTALS,
    )
    table.show_lines, table.show_edge, table.pad_edge = True, False, False
    table.width = console.width - 1 + console.width % 2  # odd: a divider, and two equal columns
    for side in program.sides:
        table.add_column(Text(side.title, style="bold cyan"), ratio=1, overflow="fold")
    table.add_row(*(_result_cell(outcome) for outcome in outcomes))
    table.add_row(*(_wire_cell(outcome) for outcome in outcomes))
    table.add_row(*(_decision_cell(outcome) for outcome in outcomes))
    console.print(table)
    verdict = (
        ("same outcome on both sides", "green") if same else ("DIFFERENT OUTCOMES", "bold red")
    )
    console.print(Text(f" {verdict[0]}\n", style=verdict[1]))


def next_steps(console: Console) -> None:
    """Print what to do after the demo."""
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column()
    for command, does in _NEXT:
        table.add_row(Text(f"  {command}"), Text(does))
    console.print(Text("What next", style="bold"))
    console.print(table)


_NEXT = (
    ("adapter scan YOUR_CODE", "which of your own calls move, and what keeps the others"),
    ("adapter demo --live", "the same with OPENAI_API_KEY on the real API; it costs a little"),
    ("MIGRATION.md", "from installed and off to all calls on Responses, step by step"),
)


def _cell(heading: str, body: Text) -> Table:
    """Return a cell with a small heading."""
    grid = Table.grid(expand=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(heading, style="bold yellow"))
    grid.add_row(body)
    return grid


def document(program: Program, outcomes: Sequence[RunResult], *, same: bool) -> dict[str, Any]:
    """Return the JSON of what `side_by_side` shows, without the bodies."""
    sides = [
        {
            "flags": list(side.flags),
            "printed": outcome.printed,
            "results": outcome.shape,
            "error": outcome.error,
            "requests": [
                {"path": one.path, "status": one.status, "streamed": one.streamed}
                for one in outcome.exchanges
            ],
            "decisions": [
                asdict(decision) for decision in outcome.decisions if decision is not None
            ],
        }
        for side, outcome in zip(program.sides, outcomes, strict=True)
    ]
    return {"name": program.name, "title": program.title, "same": same, "sides": sides}


def _result_cell(outcome: RunResult) -> Table:
    text = Text(outcome.printed.rstrip("\n"))
    if outcome.shape:
        text.append(("\n" if text else "") + _shapes_line(outcome.shape), style="dim")
    if outcome.error:
        text.append(("\n" if text else "") + outcome.error, style="bold red")
    return _cell("call site result", text)


def _shapes_line(shapes: Sequence[str]) -> str:
    """Describe the results; those of one class share its name, so that a screen holds them."""
    classes = {shape.partition(", ")[0] for shape in shapes}
    if len(shapes) == 1 or len(classes) > 1:
        return "\n".join(shapes)
    rest = [
        shape.partition(", ")[2].removeprefix("finish_reason=").replace(", calls", "")
        for shape in shapes
    ]
    return f"{len(shapes)} × {classes.pop()}: {'; '.join(rest)}"


def _wire_cell(outcome: RunResult) -> Table:
    text = Text(no_wrap=True, overflow="ellipsis")
    several = len(outcome.exchanges) > 1
    for number, exchange in enumerate(outcome.exchanges):
        text.append("\n" if number else "")
        text.append(f"{number + 1}. " if several else "")
        text.append(f"POST {exchange.path}\n", style="bold")
        lines = new_lines(exchange, outcome.exchanges[:number])
        text.append("\n".join(f"  {line}" for line in lines) + "\n")
        text.append(f"  ← {reply_line(exchange)}", style="dim")
    return _cell("HTTP requests", text)


def new_lines(exchange: RequestAndReply, earlier: Sequence[RequestAndReply]) -> list[str]:
    """Return `request_lines` without what earlier requests of the program have shown.

    That is the messages of the previous request, and other fields with the same value.
    """
    if not earlier:
        return request_lines(exchange.request)
    known = {
        line
        for one in earlier
        for key, value in one.request.items()
        if key not in _HISTORIES
        for line in request_lines({key: value})
    }
    shown = len(_history(earlier[-1].request))
    lines: list[str] = []
    for key, value in exchange.request.items():
        if key in _HISTORIES and isinstance(value, list):
            history = _history(exchange.request)
            lines.append(f"{key}: {shown} as before, then")
            lines += [f"  {line}" for line in history[shown:]]
        else:
            lines += [line for line in request_lines({key: value}) if line not in known]
    return lines


_HISTORIES = ("messages", "input")
"""The parameters that hold a conversation: Chat's and Responses'."""


def _history(body: dict[str, Any]) -> list[str]:
    """Return a line per message, without reasoning, which only one of the APIs has."""
    items: list[Any] = next(
        (body[key] for key in _HISTORIES if isinstance(body.get(key), list)), []
    )
    return [line for item in items for line in _item_lines(item) if line != "reasoning"]


def _decision_cell(outcome: RunResult) -> Table:
    text = Text(_decisions_line(outcome.decisions))
    for number, decided in enumerate(() if text else outcome.decisions, 1):
        text.append("\n" if text else "")
        text.append(f"{number}. " if len(outcome.decisions) > 1 else "")
        if decided is None:
            text.append("no decision", style="dim")
            continue
        text.append(f"{decided.backend} (asked {decided.asked}): {decided.reason}")
        for loss in decided.losses:
            text.append(f"\n  {loss.path}: {loss.action}, {loss.why}", style="dim")
    return _cell("routing", text)


def _decisions_line(decisions: Sequence[Any]) -> str:
    """Describe several decisions of one reason, each as it was asked; empty for any others."""
    reasons = {decided and decided.reason for decided in decisions}
    as_asked = all(
        decided is not None and decided.backend == decided.asked and not decided.losses
        for decided in decisions
    )
    if len(decisions) < 2 or len(reasons) > 1 or not as_asked:
        return ""
    named = (f"{number}. {decided.backend}" for number, decided in enumerate(decisions, 1))
    return f"{'  '.join(named)}  (as asked: {reasons.pop()})"


def request_lines(body: dict[str, Any]) -> list[str]:
    """Return the main fields of a request of either API, one per line, and a line per message."""
    lines: list[str] = []
    for key, value in body.items():
        if key in _HISTORIES and isinstance(value, list):
            lines.append(f"{key}:")
            lines += [f"  {line}" for item in value for line in _item_lines(item)]
        elif key == "tools":
            lines.append(f"tools: {', '.join(map(_tool_line, value))}")
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{key}: {shown}")
    return lines


def _item_lines(item: dict[str, Any]) -> Iterable[str]:
    kind = item.get("type", "message")
    if kind == "function_call":
        yield f"function_call: {item['name']}({item['arguments']})"
        return
    if kind == "function_call_output":
        yield f"function_call_output: {_on_one_line(item['output'])}"
        return
    if kind == "reasoning":
        yield "reasoning"
        return
    content = _on_one_line(item.get("content"))
    if content or not item.get("tool_calls"):
        yield f"{item.get('role', kind)}: {content}"
    for call in item.get("tool_calls") or []:
        yield f"{item['role']}: calls {call['function']['name']}({call['function']['arguments']})"


def _on_one_line(content: Any) -> str:
    """Return content of either API on one line."""
    if isinstance(content, list):
        content = " ".join(str(part.get("text", part.get("type"))) for part in content)
    return " ".join(str(content or "").split())


def _tool_line(tool: dict[str, Any]) -> str:
    """Name a tool, where Chat nests its name, and whether it is strict."""
    inner = tool.get("function", tool)
    form = "{function: {name}}" if "function" in tool else "{name}"
    return f"{inner.get('name', tool.get('type'))} {form}" + (
        " strict" if inner.get("strict") else ""
    )


def reply_line(exchange: RequestAndReply) -> str:
    """Summarise a reply of either API in a line."""
    if exchange.streamed:
        return f"{exchange.status} {_stream_line(exchange.reply)}"
    try:
        body = json.loads(exchange.reply)
    except ValueError:
        return f"{exchange.status} {_on_one_line(exchange.reply)}"
    if not isinstance(body, dict) or "object" not in body:
        return f"{exchange.status} {_on_one_line(json.dumps(body))}"
    if "output" in body:
        what = ", ".join(item["type"] for item in body["output"])
        return f"{exchange.status} {body['object']} {body.get('status')}: {what}"
    choice = body["choices"][0]
    what = ", ".join(key for key, value in choice["message"].items() if value and key != "role")
    return f"{exchange.status} {body['object']} {choice['finish_reason']}: {what}"


def _stream_line(text: str) -> str:
    """Count the events of a stream by type."""
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            counts[event.get("type") or event.get("object", "?")] += 1
    common = ", ".join(f"{count} {kind}" for kind, count in counts.most_common(2))
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(2))
    return f"stream of {common}" + (f" and {rest} other events" if rest else "")
