"""dspy, whose programs ask through litellm where that engine is chosen; its own engine doesn't use the SDK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DSPY_CACHEDIR": str(Path.home() / "dspy")}

import dspy
import litellm.llms.openai.openai as the_module
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say, say_json

APP = App(
    shows=("dspy",),
    wired='LM(engine="litellm"), OpenAI and AsyncOpenAI replaced in litellm\'s module',
)


class Book(BaseModel):
    """A book."""

    title: str
    pages: int


class Sort(dspy.Signature):
    """Sort a message."""

    text: str = dspy.InputField()
    kind: Literal["question", "answer"] = dspy.OutputField()


def model(wired: Wired, **more: Any) -> Any:
    """Make a language model."""
    wired.replace(the_module, "OpenAI", "AsyncOpenAI")
    given = {"cache": False, "num_retries": 0, **more}
    return dspy.LM(
        f"openai/{wired.model}",
        engine="litellm",
        api_base=wired.base_url,
        api_key=wired.api_key,
        **given,
    )


def fields(**values: Any) -> Any:
    """Answer as its chat adapter asks for it."""
    return say(
        "\n\n".join(
            f"[[ ## {name} ## ]]\n{value}" for name, value in {**values, "completed": ""}.items()
        )
    )


def told(lm: Any) -> list[Any]:
    """Give what the model's history holds."""
    kept = ("prompt", "messages", "kwargs", "outputs", "usage", "cost", "response_model")
    return [{key: entry.get(key) for key in kept} for entry in lm.history]


@APP.scenario(say("Hello there."), say("Hello again."))
def plain_calls(wired: Wired) -> Any:
    lm = model(wired, temperature=0.3, max_tokens=100)
    return lm("Say hello."), lm(messages=[{"role": "user", "content": "Again."}]), told(lm)


@APP.scenario(fields(answer="Paris"), fields(reasoning="I know it.", answer="Rome"))
def predict(wired: Wired) -> Any:
    lm = model(wired)
    with dspy.context(lm=lm, track_usage=True):
        first = dspy.Predict("question -> answer")(question="The capital of France?")
        second = dspy.ChainOfThought("question -> answer")(question="The capital of Italy?")
    return first.toDict(), second.toDict(), first.get_lm_usage(), told(lm)


@APP.scenario(fields(kind="question"))
def typed(wired: Wired) -> Any:
    with dspy.context(lm=model(wired)):
        return dspy.Predict(Sort)(text="Why?").toDict()


@APP.scenario(say_json({"book": {"title": "The Moth", "pages": 12}}))
def json_adapter(wired: Wired) -> Any:
    class Invent(dspy.Signature):
        """Invent a book."""

        wish: str = dspy.InputField()
        book: Book = dspy.OutputField()

    lm = model(wired)
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        return dspy.Predict(Invent)(wish="A short one.").toDict(), told(lm)


@APP.scenario(say("I won't keep to the form."), say_json({"answer": "Paris"}))
def form_not_kept(wired: Wired) -> Any:
    with dspy.context(lm=model(wired)):
        return dspy.Predict("question -> answer")(question="The capital of France?").toDict()


@APP.scenario(
    fields(next_thought="I look.", next_tool_name="get_weather", next_tool_args='{"city": "Oslo"}'),
    fields(next_thought="I know.", next_tool_name="finish", next_tool_args="{}"),
    fields(reasoning="I looked.", answer="It rains."),
)
def react(wired: Wired) -> Any:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        wired.note("get_weather", city)
        return f"Rain in {city}"

    with dspy.context(lm=model(wired)):
        return dspy.ReAct("question -> answer", tools=[get_weather])(
            question="The weather in Oslo?"
        ).toDict()


@APP.scenario(say("", call("get_weather", city="Oslo")))
def native_tools(wired: Wired) -> Any:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Rain in {city}"

    class Ask(dspy.Signature):
        """Answer with tools."""

        question: str = dspy.InputField()
        tools: list[dspy.Tool] = dspy.InputField()
        outputs: dspy.ToolCalls = dspy.OutputField()

    lm = model(wired)
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_native_function_calling=True)):
        found = dspy.Predict(Ask)(question="The weather?", tools=[dspy.Tool(get_weather)])
    return [(each.name, each.args) for each in found.outputs.tool_calls], told(lm)


PAID_TWICE = "where n is emulated, each answer pays for the prompt"


@APP.scenario(
    fields(answer="Paris"), fields(answer="Paris"),
    but={"drops *prompt_tokens": PAID_TWICE, "drops *total_tokens": PAID_TWICE, "drops *cost": PAID_TWICE},
)  # fmt: skip
def several(wired: Wired) -> Any:
    lm = model(wired)
    with dspy.context(lm=lm):
        found = dspy.Predict("question -> answer", n=2, temperature=1.0)(
            question="The capital of France?"
        )
    return found.completions.answer, told(lm)


@APP.scenario(fields(answer="Paris"))
def cached(wired: Wired) -> Any:
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    lm = model(wired, cache=True)
    with dspy.context(lm=lm):
        ask = dspy.Predict("question -> answer")
        return [ask(question="The capital of France?").toDict() for _ in range(2)], len(lm.history)


@APP.scenario(fields(answer="Paris, in pieces"))
async def streamed(wired: Wired) -> Any:
    with dspy.context(lm=model(wired)):
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        ask = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
        seen = [piece async for piece in ask(question="The capital of France?")]
    return [piece.toDict() if isinstance(piece, dspy.Prediction) else piece.chunk for piece in seen]


@APP.scenario(fields(answer="Paris"))
async def asynchronous(wired: Wired) -> Any:
    with dspy.context(lm=model(wired)):
        return (
            await dspy.Predict("question -> answer").acall(question="The capital of France?")
        ).toDict()


@APP.scenario(
    fail(400, "This model is asleep.", code="asleep"),
    fail(400, "This model is asleep.", code="asleep"),
)
def failed(wired: Wired) -> Any:
    with dspy.context(lm=model(wired)):
        return dspy.Predict("question -> answer")(question="Wake up.").toDict()


@APP.scenario(say("Cut", finish="length"))
def cut_short(wired: Wired) -> Any:
    lm = model(wired, max_tokens=16)
    return lm("Talk."), told(lm)
