"""Mem0: memories that a model extracts from conversations; it makes an SDK client of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mem0 import AsyncMemory, Memory

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say, say_json

APP = App(shows=("mem0ai",), wired="adapter.install(memory.llm.client)")

FACTS = say_json(
    {"memory": [{"id": "0", "text": "Is called Ann"}, {"id": "1", "text": "Lives in Oslo"}]}
)
NEWS = say_json({"memory": [{"id": "0", "text": "Has moved to Rome", "attributed_to": "user"}]})
SAID = [
    {"role": "user", "content": "I am Ann, of Oslo."},
    {"role": "assistant", "content": "Welcome."},
]


def memory(wired: Wired, made: Any = Memory, **options: Any) -> Any:
    """Make a memory as its configuration says, and install the adapter on its model's client."""
    where = {"api_key": wired.api_key, "openai_base_url": wired.base_url}
    kept = Path.home() / "mem0" / Path.cwd().name
    memory = made.from_config({
        "llm": {"provider": "openai", "config": {"model": wired.model, "temperature": 0.1, **where, **options}},
        "embedder": {"provider": "openai", "config": {"embedding_dims": 8, **where}},
        "vector_store": {"provider": "qdrant", "config": {"path": str(kept), "embedding_model_dims": 8}},
        "history_db_path": str(kept) + ".db",
    })  # fmt: skip
    wired.install(memory.llm.client)
    return memory


def told(result: Any) -> Any:
    """Give a result in an order that doesn't hang on its random ids."""
    if isinstance(result, dict) and "results" in result:
        return result | {
            "results": sorted(map(told, result["results"]), key=lambda each: each["memory"])
        }
    if isinstance(result, dict):
        return {
            key: each
            for key, each in result.items()
            if key not in ("id", "created_at", "updated_at")
        }
    return result


@APP.scenario(FACTS, NEWS, NEWS)
def life(wired: Wired) -> Any:
    own = memory(wired)
    added = own.add(SAID, user_id="ann", metadata={"from": "chat"})
    moved = own.add("I have moved to Rome.", user_id="ann")
    again = own.add("I have moved to Rome.", user_id="ann")
    found = own.search("Where does Ann live?", filters={"user_id": "ann"})
    [one] = [
        each
        for each in own.get_all(filters={"user_id": "ann"})["results"]
        if each["memory"] == "Lives in Oslo"
    ]
    own.update(one["id"], "Lived in Oslo")
    history = [
        {key: row[key] for key in ("old_memory", "new_memory", "event")}
        for row in own.history(one["id"])
    ]
    own.delete(one["id"])
    return (
        told(added),
        told(moved),
        told(again),
        told(found),
        history,
        told(own.get_all(filters={"user_id": "ann"})),
    )


@APP.scenario(say("Looked up the weather; it rained."))
def procedure(wired: Wired) -> Any:
    return told(memory(wired).add(SAID, agent_id="helper", memory_type="procedural_memory"))


@APP.scenario(say("A red square."), FACTS)
def image(wired: Wired) -> Any:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    own = memory(wired, enable_vision=True, vision_details="low")
    return told(own.add([*SAID, {"role": "user", "content": picture}], user_id="ann"))


@APP.scenario(say("Nothing that is JSON."), say('```json\n{"memory": []}\n```'))
def nothing_found(wired: Wired) -> Any:
    own = memory(wired)
    return told(own.add("Hm.", user_id="ann")), told(own.add("Hm.", user_id="ann"))


@APP.scenario(FACTS, NEWS)
async def asynchronous(wired: Wired) -> Any:
    own = memory(wired, AsyncMemory)
    added, moved = (
        await own.add(SAID, user_id="ann"),
        await own.add("I have moved to Rome.", user_id="ann"),
    )
    found = await own.search("Where does Ann live?", filters={"user_id": "ann"})
    return told(added), told(moved), told(found)


@APP.scenario(
    say("", call("add_memory", text="Is called Ann"), call("add_memory", text="Lives in Oslo")),
    say("Done."),
)
def model_alone(wired: Wired) -> Any:
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    tools = [{"type": "function", "function": {"name": "add_memory", "parameters": text}}]
    heard: list[Any] = []
    options = {"store": True, "response_callback": lambda *told: heard.append(told[1].model_dump())}
    model = memory(wired, **options).llm
    return model.generate_response(SAID, tools=tools), model.generate_response(SAID), heard


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return memory(wired).add(SAID, user_id="ann")


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), FACTS)
def tried_again(wired: Wired) -> Any:
    return told(memory(wired).add(SAID, user_id="ann"))
