"""What is known by name: the SDK's clients, other vendors' that look the same, and frameworks that make clients by themselves."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

CLIENTS = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI")
"""The SDK's classes that the adapter has its own of."""

CLIENT = re.compile(r"(openai|adapter)\b(\.\w+)*\.(Client|AsyncClient|(Async)?(Azure)?OpenAI)\(\)")
"""A client, as a symbol: `openai.OpenAI()`, wherever in the SDK it was imported from."""

METHOD = re.compile(
    r"(?P<base>.*?)(?P<beta>\.beta)?\.chat\.completions(?P<raw>\.with_raw_response|\.with_streaming_response)?\.(?P<method>create|parse|stream|\*)"
)
"""A method of Chat Completions, as a symbol."""

RESOURCE = re.compile(
    r"openai\.resources\.(beta\.)?chat\.(completions\.)?(completions\.)?(Async)?Completions(\(\))?"
)

RESOURCE_OF = re.compile(
    r"\.chat(\.completions)?$|^instructor\.(from_openai|from_provider|patch|apatch)\(\)$|^instructor\.client\(\)$"
)
"""A part of a client, of which only the rest says that a call is one of Chat."""

LEGACY = re.compile(r"(.*\.)?openai\.ChatCompletion\.(create|acreate)")
"""The module-level call of SDK 0.x."""

BATCH = re.compile(r".*\.batches(\.with_raw_response|\.with_streaming_response)?\.create")
"""What starts a run of the Batch API, as a symbol; its `endpoint` names the API that the input file was written for."""

VENDORS = frozenset(
    {"ai21", "anthropic", "cerebras", "cohere", "fireworks", "groq", "huggingface_hub", "litellm", "llama_cpp", "mistralai", "ollama",
     "portkey_ai", "reka", "sambanova", "together", "volcenginesdkarkruntime", "writerai", "xai_sdk", "zai", "zhipuai"}
)  # fmt: skip
"""Packages whose own clients have `chat.completions.create` as well; the adapter can't stand in for them."""

OPTIONS = frozenset(
    {
        "extra_headers",
        "extra_query",
        "extra_body",
        "timeout",
        "self",
        "api_key",
        "api_base",
        "engine",
    }
)
"""What the SDK's methods take beside the body."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A thing that calls Chat Completions by itself: the packages it comes from, its names there, and how the adapter gets under it.

    `first` is what the first argument, or `model`, must begin with where the name alone doesn't say that it's OpenAI's.
    """

    kind: str
    roots: frozenset[str]
    names: frozenset[str]
    wire: str
    model_prefixes: tuple[str, ...] = ()


def _framework(kind: str, roots: str, names: str, wire: str, *model_prefixes: str) -> Framework:
    return Framework(kind, frozenset(roots.split()), frozenset(names.split()), wire, model_prefixes)


FRAMEWORKS = (
    _framework("langchain", "langchain_openai langchain langchain_community", "ChatOpenAI AzureChatOpenAI",
        "adapter.install(model.root_client) and root_async_client, or http_client="),
    _framework("llama-index", "llama_index", "OpenAI AzureOpenAI OpenAILike", "openai_client=adapter.OpenAI(), or http_client="),
    _framework("instructor", "instructor", "from_openai patch apatch", "give it adapter.OpenAI()"),
    _framework("instructor", "instructor", "from_provider", "adapter.install(client.client), or http_client=", "openai/", "azure_openai/"),
    _framework("openai-agents", "agents", "OpenAIChatCompletionsModel", "openai_client=adapter.AsyncOpenAI()"),
    _framework("openai-agents", "agents", "set_default_openai_api", "set_default_openai_client(adapter.AsyncOpenAI())", "chat_completions"),
    _framework("pydantic-ai", "pydantic_ai", "OpenAIModel OpenAIChatModel", "OpenAIProvider(openai_client=adapter.AsyncOpenAI())"),
    _framework("pydantic-ai", "pydantic_ai", "Agent infer_model", "OpenAIChatModel with OpenAIProvider(openai_client=adapter.AsyncOpenAI())",
        "openai:", "openai-chat:"),
    _framework("litellm", "litellm", "completion acompletion batch_completion", "client=adapter.OpenAI() (or AsyncOpenAI)"),
    _framework("dspy", "dspy", "LM", "it calls litellm, which makes its own client", "openai/", "azure/"),
    _framework("autogen", "autogen_ext", "OpenAIChatCompletionClient AzureOpenAIChatCompletionClient", "adapter.install on its client"),
    _framework("smolagents", "smolagents", "OpenAIServerModel OpenAIModel AzureOpenAIServerModel AzureOpenAIModel", "adapter.install(model.client)"),
    _framework("haystack", "haystack", "OpenAIChatGenerator AzureOpenAIChatGenerator OpenAIGenerator AzureOpenAIGenerator",
        "adapter.install(generator.client) and async_client"),
    _framework("semantic-kernel", "semantic_kernel", "OpenAIChatCompletion AzureChatCompletion", "async_client=adapter.AsyncOpenAI()"),
)  # fmt: skip

PARAMETER_ARGUMENTS = frozenset(
    {
        "additional_kwargs",
        "completion_kwargs",
        "generation_kwargs",
        "model_kwargs",
        "model_settings",
    }
)
"""Arguments of frameworks that hold parameters of the request."""

EXTERNAL_PACKAGES = frozenset(
    {
        "adapter",
        "openai",
        *VENDORS,
        *(root for one in FRAMEWORKS for root in one.roots),
        *sys.stdlib_module_names,
    }
)
"""Packages that are never looked for in the project that is scanned."""

ENDPOINT = "/chat/completions"

HINT = re.compile(
    rb"chat.completions|\.completions\b|ChatCompletion|OpenAI|openai[:/]|(?:from|import)\s+instructor\b|\blitellm\b|set_default_openai"
)
"""What a file must hold to be worth parsing."""


def framework(path: str) -> Framework | None:
    """Return the framework that a symbol is a name of; litellm also where a project hands its module on."""
    path = re.sub(r"^.*\.(?=litellm\.)", "", path)
    root, _, rest = path.partition(".")
    name = rest.rpartition(".")[2]
    return (
        next((one for one in FRAMEWORKS if root in one.roots and name in one.names), None)
        if rest
        else None
    )


def method_of(path: str) -> str | None:
    """Return the method of Chat Completions that a symbol is, as the SDK's users write it."""
    found = METHOD.fullmatch(path)
    if found is not None:
        return f"{(found['beta'] or '')[1:]}{'.' if found['beta'] else ''}chat.completions{found['raw'] or ''}.{found['method']}"
    resource, _, method = path.rpartition(".")
    if method in ("create", "parse", "stream") and RESOURCE.fullmatch(resource):
        return f"chat.completions.{method}"
    if path in (
        "instructor.client().create",
        "instructor.from_openai().create",
        "instructor.from_provider().create",
    ):
        return "create"
    return None
