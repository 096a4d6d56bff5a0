"""Say what the scripted model answers to what.

The table `SCRIPTS` is the whole behaviour. Each script has a condition, an expression of the chat template's language over
four facts about the prompt; the first script whose condition holds is the reply:

- `said`      the last user message's text in lower case (content parts joined)
- `tools`     the tools offered, if any
- `effort`    whether reasoning was asked for (an effort other than none and minimal)
- `answered`  the name of the tool whose result ends the prompt, or an empty string

The template opens the reply with the script's own control token, and the network (see `network`) walks on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

END_OF_TURN = "<|im_end|>"
PADDING = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Script:
    """Name one reply, the condition that chooses it, and its text.

    `then` names the script that goes on where this one ends. `or_calls` is the script that takes over where the server's
    grammar forbids to stop here (a required tool call).
    """

    name: str
    when: str
    says: str
    then: str | None = None
    or_calls: str | None = "weather"

    @property
    def token(self) -> str:
        """Give the control token that starts this script."""
        return f"<|s:{self.name}|>"


def call(name: str, **arguments: object) -> str:
    """Write a tool call in the Hermes form, which both servers' parsers read."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


BACKOFF = """\
- **Wait longer after every failure**: double the delay each time (1 s, 2 s, 4 s, ...) up to a cap.
- **Add jitter and a limit**: randomise each delay so that clients don't retry in step, and give up after a few attempts."""

RUNBOOK = """\
1. Confirm the alert: compare dashboards and logs with what users report.
2. Check recent changes: deploys, flags, config, migrations.
3. Check saturation: CPU, memory, disk, connection pools.
4. Check dependencies: databases, queues, third-party status pages.
5. Know the way back: rollback steps, owners and escalation contacts are current."""

QUERY = call(
    "Query",
    table_name="orders",
    columns=["id", "status", "ordered_at", "expected_delivery_date", "delivered_at"],
    conditions=[
        {"column": "ordered_at", "operator": ">=", "value": "2023-11-01"},
        {"column": "ordered_at", "operator": "<", "value": "2023-12-01"},
        {"column": "status", "operator": "=", "value": "fulfilled"},
        {
            "column": "delivered_at",
            "operator": ">",
            "value": {"column_name": "expected_delivery_date"},
        },
    ],
    order_by="asc",
)

DRAFT = """\
Hello Ada,

your parcel LX-77 left Lyon this morning, and we expect it on Friday.

Kind regards, the support team"""

SCRIPTS: tuple[Script, ...] = (
    # What the sample service's tickets get (tests/service): JSON that fits its schema, whether a grammar holds the model to it or not.
    Script(
        "refund",
        "'triage' in said and 'refund' in said",
        '{"team":"billing","priority":1,"summary":"Asks for a refund of a double charge"}',
        or_calls=None,
    ),
    Script(
        "triage",
        "'triage' in said",
        '{"team":"shipping","priority":3,"summary":"Wants to know where a parcel is"}',
        or_calls=None,
    ),
    Script("draft", "'draft' in said", DRAFT, or_calls=None),
    Script(
        "summary",
        "'sum up' in said",
        "A customer waits for a parcel, and would like it on a weekend.",
        or_calls=None,
    ),
    # Tool results first: they end the prompt, so they outrank whatever the user said before them.
    Script(
        "track", "answered == 'find_order'", call("track_parcel", parcel="LX-77"), or_calls=None
    ),
    Script(
        "parcel",
        "answered == 'track_parcel'",
        "Your order 1042 is in parcel LX-77, which left Lyon this morning and arrives on Friday.",
    ),
    Script(
        "thinkdone",
        "answered and effort",
        "<think>\nThe tool has answered.\n</think>\n\n",
        then="done",
    ),
    Script("done", "answered", "It is sunny and 21 degrees in Paris today :)"),
    # Then what the user said.
    Script("query", "tools and 'november' in said", QUERY, or_calls=None),
    Script(
        "order", "tools and 'order 1042' in said", call("find_order", order=1042), or_calls=None
    ),
    Script(
        "saturday",
        "'saturday' in said",
        "Yes: tell the carrier before Thursday noon, and parcel LX-77 comes on Saturday instead.",
    ),
    Script(
        "thinkweather",
        "effort and tools and 'weather' in said",
        "<think>\nI should look up the weather now.\n</think>\n\n",
        then="weather",
    ),
    Script(
        "think",
        "effort or 'think' in said",
        "<think>\nThe user wants me to think first, and so I do.\n</think>\n\nForty-two it is.",
    ),
    Script(
        "both",
        "tools and 'both' in said",
        call("get_weather", city="Lima") + "\n" + call("get_weather", city="Oslo"),
        or_calls=None,
    ),
    Script(
        "weather", "tools and 'weather' in said", call("get_weather", city="Paris"), or_calls=None
    ),
    Script("backoff", "'backoff' in said", BACKOFF),
    Script("runbook", "'runbook' in said", RUNBOOK),
    Script(
        "long",
        "'long' in said",
        "Once upon " + " ".join(f"word{n}" for n in range(1, 41)) + " end.",
    ),
    Script("hello", "true", "Hello! I am a tiny scripted model, so this reply is always the same."),
)

CONTROL_TOKENS = (PADDING, "<|im_start|>", END_OF_TURN, *(script.token for script in SCRIPTS))

_HEAD = r"""
{%- macro text_of(content) -%}
{%- if content is string -%}{{ content }}
{%- elif content -%}{%- for part in content -%}{%- if part.text is defined -%}{{ part.text }}{%- endif -%}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set effort = reasoning_effort is defined and reasoning_effort and reasoning_effort not in ['none', 'minimal'] -%}
{%- set ns = namespace(said='', called='', answered='') -%}
{%- if tools -%}
<|im_start|>system
You may call these functions:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
Write each call as <tool_call>
{"name": ..., "arguments": {...}}
</tool_call><|im_end|>
{% endif -%}
{%- for m in messages -%}
<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>
{{ m.reasoning_content }}
</think>

{% endif -%}
{{ text_of(m.content) }}
{%- for tc in m.tool_calls or [] -%}
{%- set fn = tc.function if tc.function else tc -%}
{%- set ns.called = fn.name %}
<tool_call>
{"name": "{{ fn.name }}", "arguments": {{ fn.arguments if fn.arguments is string else fn.arguments | tojson }}}
</tool_call>
{%- endfor -%}
<|im_end|>
{% if m.role == 'user' -%}
{%- set ns.said = text_of(m.content) | lower -%}{%- set ns.answered = '' -%}
{%- elif m.role == 'tool' -%}
{%- set ns.answered = ns.called or 'unknown' -%}
{%- endif -%}
{%- endfor -%}
{%- set said = ns.said -%}{%- set answered = ns.answered -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
"""


def chat_template() -> str:
    """Build the Jinja chat template: the prompt's text, then the control token of the script that answers it."""
    choice = "".join(
        f"{{%- {'elif' if position else 'if'} {script.when} -%}}{script.token}"
        for position, script in enumerate(SCRIPTS)
    )
    return _HEAD.lstrip("\n") + choice + "{%- endif -%}{%- endif -%}"
