"""Outlines: text and structured output from the SDK client that it is given."""

from __future__ import annotations

import io
from typing import Any, Literal, TypedDict

import outlines
from outlines.inputs import Chat, Image
from PIL import Image as Pictures
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import fail, refuse, say, say_json

APP = App(shows=("outlines",), wired="from_openai(adapter.OpenAI())")


class Dog(BaseModel):
    """A dog."""

    name: str
    kind: Literal["big", "small"]
    puppies: list[Dog] = []


class Place(TypedDict):
    """A place."""

    city: str
    country: str | None


def model(wired: Wired) -> Any:
    """Make a model on a client, as a user does."""
    return outlines.from_openai(wired.openai(), wired.model)


@APP.scenario(say("Hello there."), say("Hello again.", finish="length"))
def whole(wired: Wired) -> Any:
    options = {"temperature": 0.5, "top_p": 0.9, "user": "ann", "logit_bias": {}}
    return model(wired)("Say hello.", **options), model(wired)("Again.", max_tokens=16)


@APP.scenario(say("Hello there,\nhow are you?"), say_json({"name": "Rex", "kind": "big"}))
def streamed(wired: Wired) -> Any:
    return list(model(wired).stream("Say hello.")), list(model(wired).stream("Invent a dog.", Dog))


@APP.scenario(
    *[say_json({"name": "Rex", "kind": "big"})] * 2, say_json({"city": "Oslo", "country": None})
)
def structured(wired: Wired) -> Any:
    generator = outlines.Generator(model(wired), Dog)
    dogs = [Dog.model_validate_json(generator("Invent a dog.")), model(wired)("Invent a dog.", Dog)]
    return dogs, model(wired)("Invent a place.", Place)


@APP.scenario(say_json({"any": ["JSON", 1]}))
def any_json(wired: Wired) -> Any:
    return model(wired)("Answer in JSON.", dict)


@APP.scenario(refuse("No dogs."))
def declined(wired: Wired) -> Any:
    return model(wired)("Invent a dog.", Dog)


@APP.scenario(say("A red square."), say("You said hello."))
def conversations(wired: Wired) -> Any:
    written = io.BytesIO()
    Pictures.new("RGB", (2, 2), "red").save(written, "PNG")
    picture = Image(Pictures.open(written))
    chat = Chat([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello, Ann."},
        {"role": "user", "content": ["What did I say, and what is this?", picture]},
    ])  # fmt: skip
    return model(wired)(["What is this?", picture]), model(wired)(chat)


@APP.scenario(say("Dear Ann, hello."))
def application(wired: Wired) -> Any:
    template = outlines.Template.from_string("Write to {{ name }}.")
    return outlines.Application(template)(model(wired), {"name": "Ann"})


@APP.scenario(*[say("One two STOP three")] * 3)
def several_and_stopped(wired: Wired) -> Any:
    return model(wired)("Count.", n=2), model(wired)("Count.", stop=["STOP"])


@APP.scenario(say("Hello."), say("Hello,\nAnn."), say_json({"name": "Rex", "kind": "small"}))
async def asynchronous(wired: Wired) -> Any:
    own = outlines.from_openai(wired.async_openai(), wired.model)
    pieces = [piece async for piece in own.stream("And streamed.")]
    return await own("Say hello."), pieces, await own("Invent a dog.", Dog)


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return model(wired)("Wake up.")


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return model(wired)("Hurry.")
