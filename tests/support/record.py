"""Record the cassettes again, on both sides, from a server or from the real API.

    python -m tests.support.record vllm --server URL      vLLM's scenarios, into cassettes/vllm
    python -m tests.support.record llamacpp --server URL  the same from llama.cpp
    python -m tests.support.record demo --server URL      the demo's programs
    python -m tests.support.record flips --server URL     the conversation with the flipping flag
    python -m tests.support.record openai --live          the real API: OPENAI_API_KEY; costs a little

The chat side is the SDK itself, the responses side the same calls through the adapter. `--only
NAME` and `--side SIDE` restrict it. `cassettes/README.md` explains how to start the servers.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import openai

from adapter.testing.cassettes import use_cassette
from tests.support import flips
from tests.support.scenarios import ROOT, SCENARIOS, SERVERS, SIDES, Scenario, play


def client_for(side: str, base_url: str | None, api_key: str | None) -> openai.OpenAI:
    """Make the client of one side; without a URL it calls the real API."""
    options: dict[str, Any] = {"max_retries": 0, "timeout": 120.0}
    if base_url:
        options |= {"base_url": base_url, "api_key": api_key or "unused"}
    if side == "chat":
        return openai.OpenAI(**options)
    import adapter

    # `on_bug` and `unsupported`: a recording that silently went to Chat would be useless.
    return adapter.OpenAI(
        settings=adapter.Settings(
            backend="responses", unsupported="error", on_bug="raise", fallback=()
        ),
        **options,
    )


def warm_up(client: openai.OpenAI) -> None:
    """Stream twice and discard the results.

    A server that has just started puts several tokens into one event.
    """
    for _ in range(2):
        list(
            client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
        )


def record(
    scenario: Scenario, server: str, side: str, client: openai.OpenAI, model: str | None
) -> str:
    """Record one side of a scenario and return a line about the result."""
    with use_cassette(scenario.cassette(server, side), record=True) as cassette:
        results = play(scenario, client, model=model)
        paths = {request.path.rpartition("/v1")[2] for request in cassette.requests}
    wanted = {"/chat/completions"} if side == "chat" else {"/responses"}
    if paths != wanted:
        scenario.cassette(server, side).unlink(missing_ok=True)
        return f"NOT RECORDED, went to {sorted(paths) or 'nowhere'}: {results[-1]!r:.300}"
    return "; ".join(_summary(result) for result in results)


def _summary(result: Any) -> str:
    if isinstance(result, openai.OpenAIError):
        return f"{type(result).__name__}: {str(result)[:100]}"
    if isinstance(result, list):
        ends = [
            choice.finish_reason
            for chunk in result
            for choice in chunk.choices
            if choice.finish_reason
        ]
        return f"{len(result)} chunks, {'/'.join(ends)}"
    choice = result.choices[0]
    calls = "".join(
        f" {call.function.name}({call.function.arguments})"
        for call in choice.message.tool_calls or []
    )
    return f"{choice.finish_reason}: {choice.message.content!r:.60}{calls}"


def record_demo(base_url: str | None, api_key: str | None, only: str | None) -> int:
    """Record the demo's programs; return the number of those that failed or differ."""
    from adapter.tools.cli.demo_runs import PROGRAMS, Source, run

    source, failures = Source(live=True, url=base_url, key=api_key), 0
    for program in PROGRAMS:
        if only in {None, program.name}:
            outcomes = [run(program, side, source, save_to=ROOT / "demo") for side in program.sides]
            same = outcomes[0].agrees_with(outcomes[1], words=base_url is not None)
            failures += not same
            print(
                f"{program.name:12} {'same' if same else 'DIFFERENT'} {[each.error for each in outcomes if each.error] or ''}"
            )
    return failures


def record_flips(base_url: str, api_key: str | None, only: str | None) -> int:
    """Record each arm of the conversation.

    Returns the number of those whose end differs from the first.
    """
    states = []
    for arm in flips.ARMS:
        if only in {None, arm}:
            with (
                client_for("responses", base_url, api_key) as client,
                use_cassette(flips.cassette(arm), record=True),
            ):
                import adapter

                states.append(
                    flips.state(flips.hold(client, arm, lambda side: adapter.use(backend=side)))
                )
            print(f"{arm:16} {'same' if states[-1] == states[0] else 'DIFFERENT'}")
    return sum(state != states[0] for state in states)


def main() -> int:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "target",
        choices=[*SERVERS, "openai", "demo", "flips"],
        help="the folder of cassettes to write",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="the base URL of a running server, as in http://HOST:PORT/v1",
    )
    parser.add_argument("--key", help="the server's key, if it wants one")
    parser.add_argument("--live", action="store_true", help="ask the real API, with OPENAI_API_KEY")
    parser.add_argument(
        "--model",
        help="ask for this model in place of the scripted one (with --live: gpt-4.1-mini)",
    )
    parser.add_argument("--only", metavar="NAME", help="record only this scenario or program")
    parser.add_argument("--side", choices=SIDES, help="record only this side")
    asked = parser.parse_args()
    if asked.live == bool(asked.server):
        parser.error("say either --server URL or --live")
    if asked.live and not os.environ.get("OPENAI_API_KEY"):
        parser.error("--live needs OPENAI_API_KEY")
    if asked.target == "demo":
        return min(record_demo(asked.server, asked.key, asked.only), 1)
    if asked.target == "flips":
        if not asked.server:
            parser.error("the scripted model's server is needed: --server URL")
        return min(record_flips(asked.server, asked.key, asked.only), 1)
    failures = 0
    sides = SIDES if asked.side is None else [asked.side]
    for side in sides if asked.server else []:
        with client_for(side, asked.server, asked.key) as client:
            warm_up(client)
    for scenario in SCENARIOS:
        if asked.target not in scenario.servers or asked.only not in {None, scenario.name}:
            continue
        for side in sides:
            # A scenario that names a model needs it: a reasoning model, or one that doesn't exist.
            model = asked.model or (
                "gpt-4.1-mini" if asked.live and scenario.model == "tiny" else None
            )
            with client_for(side, asked.server, asked.key) as client:
                client.api_key = scenario.key or client.api_key
                line = record(scenario, asked.target, side, client, model)
            failures += line.startswith("NOT RECORDED")
            print(f"{scenario.name:24} {side:9} {line}", flush=True)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
