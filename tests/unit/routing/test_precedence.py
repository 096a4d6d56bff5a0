"""The backend of a call for every combination of sources, against the order stated again here.

The order is force, header, use(), flag, rules, rollout, backend. A `native` force anywhere beats
`chat`, which beats `responses`; the flag's values `force-chat` and `force-native` are forces. Then
the request may hold a call on Chat, never the other way (docs/decisions.md#precedence).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import openai
import pytest

import adapter
from adapter import Settings
from adapter._exchange.call import exchange
from adapter._exchange.effects import Effect, FlagQuery, ReadFlag, ReadRequest, Send
from adapter._exchange.record import CallState, Route
from adapter._exchange.request_body import RequestBody
from adapter._routing import flags
from adapter._routing.call import Call
from adapter._routing.overrides import current_overrides
from adapter._routing.router import HEADER, Router
from adapter._runtime.run import drive
from tests.support.answers import response
from tests.support.ways_in import WAYS_IN, Reply, Seen, WayIn, both, each_way_in

FORCE = [
    None,
    *itertools.product(["argument", "environment", "file"], ["chat", "responses"]),
    ("file", "native"),
]
FLAG = [
    "no client",
    "no opinion",
    "failing",
    "garbage",
    "chat",
    "responses",
    "force-chat",
    "force-native",
]
if find_spec("openfeature") is None:  # an extra
    FLAG = FLAG[:1]
HEADERS = [None, "chat", "responses"]
USE = [None, "chat", "responses"]
RULE: dict[str, dict[str, Any] | None] = {
    "none": None,
    "chat": {"backend": "chat"},
    "responses": {"backend": "responses"},
    "rollout 0": {"rollout": 0, "backend": "responses"},
    "rollout 100": {"rollout": 100},
    "only policy": {"drop": ["seed"]},
}
ROLLOUT = [None, 0, 100]
BACKEND = ["chat", "responses"]


class Case(NamedTuple):
    """One combination."""

    force: tuple[str, str] | None
    rule: str
    rollout: int | None
    backend: str
    flag: str = "no client"
    header: str | None = None
    use: str | None = None


def expected_route(case: Case) -> tuple[str, str]:
    """Return backend and reason by the order above: the first source with an opinion decides."""
    forces = {case.force and case.force[1], case.flag.partition("force-")[2]}
    share = {"rollout 0": 0, "rollout 100": 100}.get(case.rule, case.rollout)
    opinions = {
        "force": "chat"
        if forces & {"chat", "native"}
        else "responses"
        if "responses" in forces
        else None,
        "header": case.header,
        "use": case.use,
        "flag": case.flag if case.flag in ("chat", "responses") else None,
        "rule": case.rule if case.rule in ("chat", "responses") else None,
        "rollout": {None: None, 0: "chat", 100: "responses"}[share],
        "settings": case.backend,
    }
    return next((backend, reason) for reason, backend in opinions.items() if backend is not None)


class Provider:
    """A stand-in for a client of OpenFeature."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def get_string_details(self, key: str, default: str, context: Any) -> Any:
        assert key == "openai-backend"
        if self.answer == "failing":
            raise ConnectionError("SECRET")
        if self.answer == "no opinion":
            return SimpleNamespace(value=default, error_code="FLAG_NOT_FOUND")
        return SimpleNamespace(value=self.answer, error_code=None)


PROVIDERS = {answer: Provider(answer) for answer in FLAG[1:]}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """Return the answer of each provider."""
    query = FlagQuery("adapter", {"stream": False})
    return {name: flags.read_flag(provider, query, 5) for name, provider in PROVIDERS.items()}


def given_by(case: Case, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Write a case's settings into their sources; return those that are arguments."""
    written: dict[str, Any] = {} if case.rollout is None else {"rollout": case.rollout}
    given: dict[str, Any] = {"config_file": str(path), "backend": case.backend, "flag_timeout": 5.0}
    match case.force:
        case ("argument", value):
            given["force"] = value
        case ("environment", value):
            patch.setenv("ADAPTER_FORCE", value)
        case ("file", value):
            written["force"] = value
    lines = [f"{name} = {json.dumps(value)}" for name, value in written.items()]
    rule = RULE[case.rule]
    if rule is not None:
        lines += ["[[rules]]", *(f"{name} = {json.dumps(value)}" for name, value in rule.items())]
    path.write_text("\n".join(lines))
    return given if case.flag == "no client" else {**given, "flags": PROVIDERS[case.flag]}


EVERY = [
    Case(*values) for values in itertools.product(FORCE, RULE, ROLLOUT, BACKEND, FLAG, HEADERS, USE)
]


class Sent(Exception):
    """Raised to stop an exchange when it sends."""


class Result(NamedTuple):
    """The result of a call: its backend (None: it wasn't sent), and its state."""

    to: str | None
    state: CallState
    outcome: Any = None


def run_until_sent(
    router: Router, body: Any, flag: str | None, header: str | None, until: str = "sent"
) -> Result:
    """Run an exchange with this router until it sends, or until its backend is chosen."""
    overrides, state = current_overrides(), CallState()
    to: list[str] = []
    headers = {} if header is None else {HEADER: header}

    def choose_gen(read: RequestBody) -> Generator[Effect, Any, Route]:
        choice = yield from router.choose_gen(Call(header, headers, overrides, body=read))
        if until == "chosen":
            state.route = choice
            to.append(choice.backend)
            raise Sent
        return choice

    def perform(effect: Any) -> Any:
        match effect:
            case ReadRequest():
                return json.dumps(body).encode()
            case ReadFlag():
                return flag
            case Send():
                to.append("chat" if effect.path is None else "responses")
                raise Sent
        raise AssertionError(effect)

    try:
        outcome = drive(exchange(state, b"/v1/chat/completions", choose_gen), perform)
    except Sent:
        return Result(to[0], state)
    return Result(None, state, outcome)


PLAIN = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
HELD = PLAIN | {"seed": 7}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
RESPONSES_ONLY = PLAIN | {"model": "gpt-5.6", "tools": [TOOL], "reasoning_effort": "low"}


def check(case: Case, router: Router, answer: Any) -> None:
    backend, reason = expected_route(case)
    dropped = case.rule == "only policy"

    plain = run_until_sent(router, PLAIN, answer, case.header, until="chosen")
    assert plain.state.route is not None
    assert (plain.to, plain.state.route.reason) == (backend, reason), case
    assert plain.state.route.settings_hash == router.settings.hash

    held = run_until_sent(router, HELD, answer, case.header)
    expected = (backend, reason) if backend == "chat" or dropped else ("chat", "unsupported")
    assert (held.to, held.state.reason) == expected, case
    ledger = [] if backend == "chat" else [("seed", "dropped" if dropped else "held")]
    assert [(loss.path, loss.action) for loss in held.state.request_losses] == ledger

    responses_only = run_until_sent(router, RESPONSES_ONLY | {"seed": 7}, answer, case.header)
    expected = (backend, reason) if backend == "chat" or dropped else (None, "refused")
    assert (responses_only.to, responses_only.state.reason) == expected, case
    assert responses_only.to is not None or responses_only.outcome.status == 400


@pytest.mark.slow
def test_every_combination(answers: dict[str, Any], tmp_path: Path) -> None:
    count = 0
    for combination in itertools.product(
        FORCE, RULE, ROLLOUT, BACKEND, [one for one in FLAG if one in ("no client", "chat")]
    ):
        some = Case(*combination)
        with pytest.MonkeyPatch.context() as patch:
            router = Router(Settings(**given_by(some, tmp_path / "adapter.toml", patch)))
        flag_values = FLAG[:1] if some.flag == "no client" else FLAG[1:]
        for flag, header, use in itertools.product(flag_values, HEADERS, USE):
            with adapter.use(backend=use):  # type: ignore[arg-type]
                check(some._replace(flag=flag, header=header, use=use), router, answers.get(flag))
            count += 1
    print(f"{count} combinations, three calls each")
    assert count == len(EVERY)


@pytest.mark.parametrize("backend", BACKEND)
def test_an_invalid_header_chooses_nothing(backend: Any) -> None:
    made = run_until_sent(Router(Settings(backend=backend)), PLAIN, None, "sideways")
    assert (made.to, made.state.reason) == (backend, "settings")
    with adapter.use(backend="responses"):
        made = run_until_sent(Router(Settings(backend=backend)), PLAIN, None, "sideways")
    assert (made.to, made.state.reason) == ("responses", "use")


@pytest.mark.parametrize("force", ["chat", "native"])
@pytest.mark.parametrize("header", ["sideways", "responses", None])
def test_a_force_beats_any_header(force: Any, header: str | None) -> None:
    made = run_until_sent(Router(Settings(force=force)), PLAIN, "responses", header)
    assert (made.to, made.state.reason) == ("chat", "force")


def test_a_disallowed_header_chooses_nothing() -> None:
    for header, backend in itertools.product(BACKEND, BACKEND):
        made = run_until_sent(
            Router(Settings(backend=backend, allow_header=False)), PLAIN, None, header
        )  # type: ignore[arg-type]
        assert (made.to, made.state.reason) == (backend, "settings")


STRENGTH = ["responses", "chat", "native"]


@pytest.mark.parametrize("flag", [None, *FLAG[-2:]] if len(FLAG) > 1 else [None])
@pytest.mark.parametrize("forces", [*itertools.product([None, *STRENGTH], repeat=3)], ids=str)
def test_the_strongest_force_of_all_sources_holds(
    forces: tuple[str | None, ...],
    flag: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "adapter.toml"
    argument, environment, file = forces
    path.write_text("# nothing" if file is None else f'force = "{file}"')
    if environment is not None:
        monkeypatch.setenv("ADAPTER_FORCE", environment)
    given: dict[str, Any] = {} if argument is None else {"force": argument}
    if flag is not None:
        given["flags"] = PROVIDERS[flag]
    made = Settings(config_file=path, **given)
    strongest = max((one for one in forces if one is not None), key=STRENGTH.index, default=None)
    assert made.force == strongest
    router = Router(made)
    if strongest is not None or flag is not None:
        with adapter.use(backend="responses"):
            result = run_until_sent(router, PLAIN, flag, "responses")
        moved = strongest == "responses" and flag is None
        assert (result.to, result.state.reason) == ("responses" if moved else "chat", "force")


def test_chat_from_one_source_beats_responses_from_a_higher_one(tmp_path: Path) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('force = "chat"')
    with adapter.use(backend="responses"):
        made = run_until_sent(
            Router(Settings(config_file=path, force="responses")), PLAIN, "responses", "responses"
        )
    assert (made.to, made.state.reason) == ("chat", "force")


# Through the ways in

ANSWER = both(Reply.of_json(response()))


def through(way_in: WayIn, case: Case, path: Path, body: dict[str, Any]) -> Seen:
    """Make a call through a way in, with all sources of a program."""
    use = adapter.use(backend=case.use)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch, use:
        more = {} if case.header is None else {"extra_headers": {HEADER: case.header}}
        return way_in.create({**body, **more}, ANSWER, **given_by(case, path, patch))


_FROM_BELOW = [case for case in EVERY if (case.force, case.header, case.use) == (None, None, None)]
SAMPLE = EVERY[::509] + _FROM_BELOW[::19]  # primes, which reach all values of all sources


def test_the_sample_has_everything_in_it() -> None:
    pytest.importorskip("openfeature")
    sources = (FORCE, RULE, ROLLOUT, BACKEND, FLAG, HEADERS, USE)
    assert all({case[k] for case in SAMPLE} == set(source) for k, source in enumerate(sources))
    assert {expected_route(case) for case in SAMPLE} >= set(
        itertools.product(BACKEND, ["force", "header", "use", "flag", "rollout"])
    )


@each_way_in
def test_through_the_ways_in(way_in: WayIn, tmp_path: Path) -> None:
    for number, case in enumerate(SAMPLE):
        backend, reason = expected_route(case)
        for body in (PLAIN, HELD):
            held = body is HELD and backend == "responses" and case.rule != "only policy"
            seen = through(way_in, case, tmp_path / f"{number}-{len(body)}.toml", body)
            seen.reraise()
            got = "chat" if held else backend
            assert [path.rpartition("/")[2] for path in seen.paths] == [
                {"chat": "completions"}.get(got, got)
            ], case
            assert HEADER not in seen.sent[0].headers
            assert seen.decision is not None
            decided = (seen.decision.backend, seen.decision.asked, seen.decision.reason)
            assert decided == (got, backend, "unsupported" if held else reason), case


CHAT_ANSWER = {
    "force": {"force": "chat"},
    "settings": {"backend": "chat"},
    "rollout": {"rollout": 0.0},
}


@each_way_in
@pytest.mark.parametrize("by", CHAT_ANSWER)
def test_no_fact_moves_a_chat_route_of_a_responses_only_model(way_in: WayIn, by: str) -> None:
    seen = way_in.create(RESPONSES_ONLY, ANSWER, **{"backend": "responses", **CHAT_ANSWER[by]})
    assert [path.rpartition("/")[2] for path in seen.paths] == ["completions"]
    assert seen.decision is not None
    assert (seen.decision.backend, seen.decision.reason, seen.ledger) == ("chat", by, [])


@each_way_in
def test_a_hold_of_a_responses_only_call_is_an_error(way_in: WayIn) -> None:
    seen = way_in.create(RESPONSES_ONLY | {"seed": 7}, ANSWER)
    assert isinstance(seen.error, openai.BadRequestError)
    assert seen.error.param == "seed"
    assert seen.paths == []
    assert way_in.create(RESPONSES_ONLY, ANSWER).paths[-1].endswith("/responses")


def test_there_are_six_ways_in() -> None:
    assert len(WAYS_IN) == 6
