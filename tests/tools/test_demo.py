"""`adapter demo`: runs without key and network, and fails if the two APIs differ."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from adapter.tools.cli import demo_runs
from adapter.tools.cli.app import app
from adapter.tools.cli.commands import COMMANDS
from adapter.tools.cli.demo_runs import PROGRAMS, RunResult, Source
from adapter.tools.cli.demo_view import new_lines, request_lines
from adapter.tools.connection_errors import describe
from tests.support.answers import both
from tests.support.command import Done, command
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

NAMES = ("backoff", "runbook", "query", "tool_loop")
FOLDER = Path(demo_runs.__file__).parent / "programs"
WIDE = {"COLUMNS": "160", "NO_COLOR": "1"}

# The published programs, line by line, without indentation.
SEED_IMPORT = "from openai import OpenAI"
CALL_SITES = {
    "backoff": """
client = OpenAI()
completion = client.chat.completions.create(
model="gpt-5.2",
messages=[
{"role": "developer", "content": "Be concise and structured."},
{"role": "user", "content": "Explain exponential backoff in 2 bullets."}
]
)
print(completion.choices[0].message.content)
""",
    "runbook": """
stream = client.chat.completions.create(
model="gpt-5.2",
messages=[{"role": "user", "content": "List 5 SRE runbook checks."}],
stream=True
)
for chunk in stream:
delta = chunk.choices[0].delta
if delta and delta.content:
print(delta.content, end="", flush=True)
""",
    "query": """
class OrderBy(str, Enum):
asc = "asc"
desc = "desc"
class DynamicValue(BaseModel):
column_name: str
class Condition(BaseModel):
column: str
operator: Operator
value: Union[str, int, DynamicValue]
class Query(BaseModel):
table_name: Table
columns: List[Column]
conditions: List[Condition]
order_by: OrderBy
client = OpenAI()
completion = client.chat.completions.parse(
model="gpt-4o-2024-08-06",
messages=[
{
"role": "system",
"content": "You are a helpful assistant. The current date is August 6, 2024. You help users \
query for the data they are looking for by calling the query function.",
},
{
"role": "user",
"content": "look up all my orders in november of last year that were fulfilled but not \
delivered on time",
},
],
tools=[
openai.pydantic_function_tool(Query),
],
""",
}


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\\\n", "").splitlines() if line.strip()]


@pytest.mark.parametrize("name", CALL_SITES)
def test_call_sites_are_unchanged(name: str) -> None:
    wanted, there = (
        lines_of(CALL_SITES[name]),
        lines_of((FOLDER / f"{name}.py").read_text(encoding="utf-8")),
    )
    start = there.index(wanted[0])
    assert there[start : start + len(wanted)] == wanted
    assert SEED_IMPORT not in there
    assert SEED_IMPORT.replace("openai", "adapter", 1) in there


def test_the_programs_do_not_mention_the_responses_api() -> None:
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "client.responses" not in text
        assert path.stem in {*NAMES, "__init__"}
    assert tuple(program.name for program in PROGRAMS) == NAMES


def demo(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["demo", *arguments], env=WIDE)


@pytest.fixture(scope="module")
def shown() -> str:
    result = demo()
    assert result.exit_code == 0, result.output
    return str(result.output)


def test_every_program_has_the_same_outcome_on_both_sides(shown: str) -> None:
    assert shown.count("same outcome on both sides") == len(PROGRAMS)
    assert "DIFFERENT" not in shown
    for program in PROGRAMS:
        assert program.title in shown


@pytest.mark.parametrize("name", NAMES)
def test_both_columns_are_shown(name: str) -> None:
    result = demo("--only", name)
    assert result.exit_code == 0
    for heading in ("call site result", "HTTP requests", "routing"):
        (line,) = [line for line in result.output.splitlines() if heading in line]
        assert line.count(heading) == 2
    flip = name == "tool_loop"
    assert ("chat → responses" if flip else "backend = responses") in result.output
    left, right = requests_of(result.output)
    assert left == {"POST /v1/chat/completions"}
    assert right == (
        {"POST /v1/chat/completions", "POST /v1/responses"} if flip else {"POST /v1/responses"}
    )


AT_A_TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1"}


def test_a_screen_holds_each_program() -> None:
    result = CliRunner().invoke(app, ["demo"], env=AT_A_TERMINAL)
    introduction, *rest = re.split(
        r"^.*\(programs/(\w+)\.py\).*\n", result.output, flags=re.MULTILINE
    )
    assert len(introduction.splitlines()) <= 6
    assert "What the call sites get must be the same." in " ".join(introduction.split())
    programs = {
        name: len(text.partition("same outcome")[0].splitlines()) + 1
        for name, text in zip(rest[::2], rest[1::2], strict=True)
    }
    assert tuple(programs) == NAMES
    assert {name: lines for name, lines in programs.items() if lines > 50} == {}
    assert max(map(len, result.output.splitlines())) <= 100


def test_equal_runs_look_equal() -> None:
    """Both columns are equally wide, so what the call sites got breaks at the same words."""
    output = CliRunner().invoke(app, ["demo"], env=AT_A_TERMINAL).output
    results = re.findall(r"call site result\s+call site result *\n(.*?)\n─", output, re.DOTALL)
    assert len(results) == len(PROGRAMS)
    for line in "\n".join(results).splitlines():
        assert line[:49].rstrip() == line[51:].rstrip()


def test_it_ends_with_what_to_do_next(shown: str) -> None:
    last = shown.partition("What next\n")[2]
    commands = re.findall(r"^  adapter (\w+)", last, re.MULTILINE)
    assert commands == ["scan", "demo"]
    assert set(commands) <= set(COMMANDS)
    (page,) = re.findall(r"^  (\w+\.md)", last, re.MULTILINE)
    assert (Path(__file__).resolve().parents[2] / page).is_file()


def test_a_request_shows_what_is_new_in_it() -> None:
    program = next(program for program in PROGRAMS if program.name == "tool_loop")
    first, second, third, _ = demo_runs.run(program, program.sides[1], Source()).exchanges
    assert new_lines(first, []) == request_lines(first.request)
    assert new_lines(second, [first])[:3] == [
        "store: false",
        "input: 1 as before, then",
        '  function_call: find_order({"order": 1042})',
    ]
    assert [line.strip().partition(" ")[0] for line in new_lines(third, [first, second])] == [
        "messages:",
        "assistant:",
        "tool:",
    ]


def requests_of(output: str) -> tuple[set[str], set[str]]:
    """Return the requests that each column (half of the width) shows."""
    middle, lines = int(WIDE["COLUMNS"]) // 2, output.splitlines()
    columns = ([line[:middle] for line in lines], [line[middle:] for line in lines])
    left, right = (
        {found for line in column for found in re.findall(r"POST /v1/\S+", line)}
        for column in columns
    )
    return left, right


def test_what_the_programs_print_is_in_both_columns(shown: str) -> None:
    for expected in (
        "Wait longer after every failure",
        "Confirm the alert",
        "orders, asc",
        "track_parcel(",
    ):
        assert any(line.count(expected) == 2 for line in shown.splitlines()), expected
    # A decision, the same field in both APIs, and the note about the recordings.
    for word in (
        "responses (asked responses)",
        "messages:",
        "input:",
        "response completed",
        "scripted stand-in",
    ):
        assert word in shown, word


def test_the_flip_shows_in_requests_and_decisions() -> None:
    program = next(program for program in PROGRAMS if program.name == "tool_loop")
    outcome = demo_runs.run(program, program.sides[1], Source())
    assert outcome.error is None
    assert [exchange.path.rpartition("/")[2] for exchange in outcome.exchanges] == [
        "completions",
        "responses",
        "completions",
        "responses",
    ]
    assert [decided.backend for decided in outcome.decisions] == [
        "chat",
        "responses",
        "chat",
        "responses",
    ]


# Failures


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Change the result of every program on one side."""
    real = demo_runs.run

    def run(program: Any, side: Any, source: Any, **more: Any) -> RunResult:
        outcome = real(program, side, source, **more)
        return (
            change(outcome) if side is program.sides[1] and program.name == "backoff" else outcome
        )

    monkeypatch.setattr("adapter.tools.cli.demo.run", run)


@pytest.mark.parametrize(
    "change",
    [
        lambda outcome: RunResult(
            outcome.printed + "!", outcome.results, outcome.decisions, outcome.exchanges
        ),
        lambda outcome: RunResult(outcome.printed, (), (), outcome.exchanges),
        lambda outcome: RunResult(
            outcome.printed,
            outcome.results,
            outcome.decisions,
            outcome.exchanges,
            "ValueError: planted",
        ),
    ],
    ids=["words", "results", "error"],
)
def test_a_difference_ends_with_1(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    spoil(monkeypatch, change)
    result = demo("--only", "backoff")
    assert result.exit_code == 1
    assert "DIFFERENT OUTCOMES" in result.output
    assert "Different outcomes: backoff" in result.output
    assert demo("--only", "runbook").exit_code == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_difference_in_a_recording_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Change a reply of the server on one side."""
    program = next(program for program in PROGRAMS if program.name == name)
    for path in demo_runs.cassette_folder().glob(f"{name}.*.yaml"):
        text = path.read_text(encoding="utf-8")
        if path.name == f"{name}.{program.sides[1].name}.yaml":
            word = {
                "backoff": "double",
                "runbook": " saturation",
                "query": "fulfilled",
                "tool_loop": "carrier",
            }[name]
            changed = text.replace(word, word[:-1] + "X")
            assert changed != text
            text = changed
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(demo_runs, "cassette_folder", lambda: tmp_path)
    result = demo("--only", name)
    assert result.exit_code == 1, result.output
    assert f"Different outcomes: {name}" in result.output


def test_a_missing_recording_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_runs, "cassette_folder", lambda: tmp_path)
    done = command("demo", "--only", "backoff")
    assert (done.code, done.err) == (
        2,
        f"adapter: {tmp_path}/backoff.chat.yaml: the recording is missing\n",
    )


def test_the_users_settings_and_key_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ADAPTER_BACKEND": "nonsense",
        "ADAPTER_DROP": "x",
        "OPENAI_BASE_URL": "http://10.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert demo("--only", "backoff").exit_code == 0
    assert dict(os.environ) == before


# In a process


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new Python process, without a key, outside of this repository."""
    private = ("OPENAI_", "ADAPTER_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**clean, **WIDE, "PYTHONUTF8": "1"},
        check=False,
    )


NO_NETWORK = """
import socket, sys
def refused(*_, **__): raise SystemExit("network access")
socket.socket.connect = socket.socket.connect_ex = refused
socket.getaddrinfo = socket.create_connection = refused
from adapter.tools.cli import main
sys.argv = ["adapter", *sys.argv[1:]]
main()
"""


def test_the_command_runs_without_key_and_network() -> None:
    run = python(NO_NETWORK, "demo")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("same outcome on both sides") == len(PROGRAMS)


@pytest.mark.parametrize("name", NAMES)
def test_json_is_one_document(name: str) -> None:
    done = demo("--json", "--only", name)
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert (document["live"], document["same"]) == (False, True)
    (program,) = document["programs"]
    one, other = program["sides"]
    assert (program["name"], program["same"]) == (name, True)
    assert one["printed"] == other["printed"]
    assert one["results"] == other["results"]
    assert {request["path"] for request in one["requests"]} == {"/v1/chat/completions"}
    assert "/v1/responses" in {request["path"] for request in other["requests"]}
    assert [decision["backend"] for decision in other["decisions"]] == other["flags"]


def test_the_recordings_are_of_the_programs() -> None:
    """A changed request would not be found in the recording."""
    for program in PROGRAMS:
        for side in program.sides:
            path = demo_runs.cassette_folder() / f"{program.name}.{side.name}.yaml"
            interactions = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
            assert len(interactions) == len(side.flags)


# Servers that are missing or lack the API

HTML = (("content-type", "text/html"),)


def error(status: int, code: str | None = None) -> Reply:
    return Reply.of_json(
        {"error": {"message": f"no {KEY} here", "type": "x", "param": None, "code": code}}, status
    )


KEY = "hunter2-hunter2"
REPLIES: dict[str, tuple[Reply, str]] = {
    "no such route": (Reply(404, HTML, [b"<html>"]), "the endpoint doesn't exist (404)"),
    "no such route, in JSON": (Reply.of_json({"detail": "Not Found"}, 404),
        "the endpoint doesn't exist (404)"),
    "another method": (Reply(405, (), [b""]), "the endpoint doesn't exist (405)"),
    "a key that isn't taken": (error(401, "invalid_api_key"),
        "the endpoint exists; the API doesn't accept the key (401)"),
    "a key without rights": (error(403),
        "the endpoint exists; the API doesn't accept the key (403)"),
    "a gateway": (Reply(403, HTML, [b"<html>"]),
        "a gateway or proxy in front of the API refused it (403"),
    "a page": (Reply(200, HTML, [b"<html>"]), "answered 200, but not like the API"),
    "other JSON": (Reply.of_json({"hello": "world"}), "answered 200, but not like the API"),
    "a closed connection": (Reply.drop(),
        "not reachable: the reply isn't HTTP, or the connection was closed"),
    "a server error": (error(500), "backoff: answered 500"),
    "no such model": (error(404, "model_not_found"), "backoff: answered 404 (model_not_found)"),
    "a limit": (error(429, "rate_limit_exceeded"), "backoff: answered 429 (rate_limit_exceeded)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["people", "JSON"])
def test_a_server_without_the_api_is_an_error(
    case: str, form: tuple[str, ...], loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply, expected = REPLIES[case]
    loopback.answer = lambda _: reply
    monkeypatch.setattr(
        "openai._base_client.BaseClient._calculate_retry_timeout", lambda *_, **__: 0.0
    )
    url = loopback.base_url.replace("://", f"://ada:{KEY}@")
    done = command("demo", "--server", url, "--key", KEY, "--only", "backoff", *form)
    assert done.code == 2
    line = done.err.removeprefix("adapter: ")
    assert line.startswith(f"{loopback.base_url}: {expected}")
    assert line.count("\n") == 1
    assert "different outcomes" not in done.out.lower()
    assert KEY not in done.out + done.err
    assert not form or done.out == ""


UNREACHED = {
    "no listener": (
        "http://127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1: not reachable: connection refused",
    ),
    "with a password": (
        f"http://a:{KEY}@127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1: not reachable: connection refused",
    ),
    "no address": ("127.0.0.1:1/v1", "--server: expected http(s)://host/path"),
    "another scheme": ("ftp://127.0.0.1/v1", "--server: expected http(s)://host/path"),
    "nothing": ("", "--server: expected http(s)://host/path"),
    "no port": ("http://h:99999/v1", "--server: expected http(s)://host/path"),
}


@pytest.mark.parametrize("case", UNREACHED)
def test_a_server_that_is_not_reached(case: str) -> None:
    url, expected = UNREACHED[case]
    assert command("demo", "--server", url) == Done(2, "", f"adapter: {expected}\n")


def test_live_gives_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert command("demo", "--live") == Done(
        2, "", "adapter: http://127.0.0.1:1/v1: not reachable: connection refused\n"
    )
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    done = command("demo", "--live")
    assert (done.code, KEY in done.err) == (2, False)


def raised(chain: list[BaseException]) -> BaseException:
    for one, cause in itertools.pairwise(chain):
        one.__cause__ = cause
    return chain[0]


WHYS: dict[str, tuple[list[BaseException], str]] = {
    "a name": ([http.ConnectError("x"), socket.gaierror(-2, "Name or service not known")],
        "host name not found"),
    "time": ([http.ConnectTimeout("x"), TimeoutError()], "timed out"),
    "a certificate": ([http.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")],
        "its certificate isn't trusted"),
    "no TLS": ([http.ConnectError("x"), ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x")],
        "TLS failed"),
    "no route": ([http.ConnectError("x"), OSError(113, "No route to host")], "no route to host"),
    "another": ([ValueError(KEY)], "ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHYS)
def test_why_a_server_is_not_reached(case: str) -> None:
    chain, expected = WHYS[case]
    assert describe(raised(chain)).startswith(expected)


def test_one_side_that_fails_is_a_difference(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "openai._base_client.BaseClient._calculate_retry_timeout", lambda *_, **__: 0.0
    )

    def answer(request: Request) -> Any:
        if request.body == b"{}":
            return error(400)
        return error(500) if request.path.endswith("/responses") else both(request)

    loopback.answer = answer
    done = command("demo", "--server", loopback.base_url, "--only", "backoff", "--key", KEY)
    assert (done.code, done.err) == (1, "")
    assert "Different outcomes: backoff" in done.out
    assert KEY not in done.out


def test_cassettes_that_cannot_be_kept(loopback: Loopback, tmp_path: Path) -> None:
    loopback.answer = lambda request: error(400) if request.body == b"{}" else both(request)
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = command(
        "demo",
        "--server",
        loopback.base_url,
        "--only",
        "backoff",
        "--save",
        tmp_path / "file" / "x",
    )
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert str(tmp_path / "file") in done.err
    assert command("demo", "--save", tmp_path).code == 2
