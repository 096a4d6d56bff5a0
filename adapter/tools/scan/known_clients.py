"""Tables of known names: the SDK's clients, other vendors' clients, and frameworks."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

CLIENTS = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI")
"""The SDK's client classes that the adapter replaces."""

CLIENT = re.compile(r"(openai|adapter)\b(\.\w+)*\.(Client|AsyncClient|(Async)?(Azure)?OpenAI)\(\)")
"""A client, as a symbol: `openai.OpenAI()`, also if imported from a submodule of the SDK."""

METHOD = re.compile(
    r"(?P<base>.*?)(?P<beta>\.beta)?\.chat\.completions"
    r"(?P<raw>\.with_raw_response|\.with_streaming_response)?\.(?P<method>create|parse|stream|\*)"
)
"""A method of Chat Completions, as a symbol."""

RESOURCE = re.compile(
    r"openai\.resources\.(beta\.)?chat\.(completions\.)?(completions\.)?(Async)?Completions(\(\))?"
)

RESOURCE_OF = re.compile(
    r"\.chat(\.completions)?$|^instructor\.(from_openai|from_provider|patch|apatch)\(\)$"
    r"|^instructor\.client\(\)$"
)
"""A part of a client's path that further attributes may complete to a method of Chat."""

LEGACY = re.compile(r"(.*\.)?openai\.ChatCompletion\.(create|acreate)")
"""The module-level call of SDK 0.x."""

BATCH = re.compile(r".*\.batches(\.with_raw_response|\.with_streaming_response)?\.create")
"""The method that starts a batch, as a symbol; its `endpoint` is the API of the input file."""

VENDORS = frozenset(
    {"ai21", "anthropic", "cerebras", "cohere", "fireworks", "groq", "huggingface_hub",
     "litellm", "llama_cpp", "mistralai", "ollama", "portkey_ai", "reka", "sambanova",
     "together", "volcenginesdkarkruntime", "writerai", "xai_sdk", "zai", "zhipuai"}
)  # fmt: skip
"""Packages whose own clients have `chat.completions.create` too; the adapter can't replace them."""

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
"""Arguments of the SDK's methods that aren't part of the body."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework that calls Chat Completions: its packages, its names there, and how to wire it.

    If a name alone doesn't imply OpenAI, the first argument, or `model`, must begin with one of
    `model_prefixes`.
    """

    kind: str
    roots: frozenset[str]
    names: frozenset[str]
    wire: str
    model_prefixes: tuple[str, ...] = ()


def _framework(kind: str, roots: str, names: str, wire: str, *model_prefixes: str) -> Framework:
    return Framework(kind, frozenset(roots.split()), frozenset(names.split()), wire, model_prefixes)


FRAMEWORKS = (
    _framework(
        "langchain",
        "langchain_openai langchain langchain_community",
        "ChatOpenAI AzureChatOpenAI",
        "adapter.install(model.root_client) and root_async_client, or http_client=",
    ),
    _framework(
        "llama-index",
        "llama_index",
        "OpenAI AzureOpenAI OpenAILike",
        "openai_client=adapter.OpenAI(), or http_client=",
    ),
    _framework("instructor", "instructor", "from_openai patch apatch", "pass it adapter.OpenAI()"),
    _framework(
        "instructor",
        "instructor",
        "from_provider",
        "adapter.install(client.client), or http_client=",
        "openai/",
        "azure_openai/",
    ),
    _framework(
        "openai-agents",
        "agents",
        "OpenAIChatCompletionsModel",
        "openai_client=adapter.AsyncOpenAI()",
    ),
    _framework(
        "openai-agents",
        "agents",
        "set_default_openai_api",
        "set_default_openai_client(adapter.AsyncOpenAI())",
        "chat_completions",
    ),
    _framework(
        "pydantic-ai",
        "pydantic_ai",
        "OpenAIModel OpenAIChatModel",
        "OpenAIProvider(openai_client=adapter.AsyncOpenAI())",
    ),
    _framework(
        "pydantic-ai",
        "pydantic_ai",
        "Agent infer_model",
        "OpenAIChatModel with OpenAIProvider(openai_client=adapter.AsyncOpenAI())",
        "openai:",
        "openai-chat:",
    ),
    _framework(
        "litellm",
        "litellm",
        "completion acompletion batch_completion",
        "client=adapter.OpenAI() (or AsyncOpenAI)",
    ),
    _framework(
        "dspy", "dspy", "LM", "it calls litellm, which makes its own client", "openai/", "azure/"
    ),
    _framework(
        "autogen",
        "autogen_ext",
        "OpenAIChatCompletionClient AzureOpenAIChatCompletionClient",
        "adapter.install on its client",
    ),
    _framework(
        "smolagents",
        "smolagents",
        "OpenAIServerModel OpenAIModel AzureOpenAIServerModel AzureOpenAIModel",
        "adapter.install(model.client)",
    ),
    _framework(
        "haystack",
        "haystack",
        "OpenAIChatGenerator AzureOpenAIChatGenerator OpenAIGenerator AzureOpenAIGenerator",
        "adapter.install(generator.client) and async_client",
    ),
    _framework(
        "semantic-kernel",
        "semantic_kernel",
        "OpenAIChatCompletion AzureChatCompletion",
        "async_client=adapter.AsyncOpenAI()",
    ),
)

PARAMETER_ARGUMENTS = frozenset(
    {
        "additional_kwargs",
        "completion_kwargs",
        "generation_kwargs",
        "model_kwargs",
        "model_settings",
    }
)
"""Arguments of frameworks whose values are dictionaries of request parameters."""

EXTERNAL_PACKAGES = frozenset(
    {
        "adapter",
        "openai",
        *VENDORS,
        *(root for one in FRAMEWORKS for root in one.roots),
        *sys.stdlib_module_names,
    }
)
"""Packages that are never resolved to files of the scanned project."""

ENDPOINT = "/chat/completions"

HINT = re.compile(
    rb"chat.completions|\.completions\b|ChatCompletion|OpenAI|openai[:/]"
    rb"|(?:from|import)\s+instructor\b|\blitellm\b|set_default_openai"
)
"""A file without a match isn't parsed."""


def framework(path: str) -> Framework | None:
    """Return the framework of a symbol; litellm's also if its module is an attribute."""
    path = re.sub(r"^.*\.(?=litellm\.)", "", path)
    root, _, rest = path.partition(".")
    name = rest.rpartition(".")[2]
    return (
        next((one for one in FRAMEWORKS if root in one.roots and name in one.names), None)
        if rest
        else None
    )


def method_of(path: str) -> str | None:
    """Return the method of Chat Completions that a symbol is, without the client; else None."""
    found = METHOD.fullmatch(path)
    if found is not None:
        beta = "beta." if found["beta"] else ""
        return f"{beta}chat.completions{found['raw'] or ''}.{found['method']}"
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
