"""Every difference between a server's two APIs that the adapter neither causes nor can repair.

Any other difference between a native call and an adapted one is a fault; so is an entry of this
list that no longer occurs.
"""

from __future__ import annotations

from openai.types.completion_usage import PromptTokensDetails

from tests.support.comparing import ABSENT, Difference

VLLM, LLAMACPP = ("vllm",), ("llamacpp",)
_CALLS = ("tool_*", "parallel_*", "parse_tools", "reasoning_tools", "history_*", "flat_*")
_STREAMED_CALLS = ("tool_*_stream*", "parallel_*_stream*")

DIFFERENCES: tuple[Difference, ...] = (
    # OpenAI's own Chat replies have these, and so the adapter writes them; these servers' Chat API
    # omits them.
    Difference(
        "*completion.choices[*].message.annotations",
        "a message of OpenAI's always has the list, empty where there are none",
        native=None,
        adapted=[],
    ),
    Difference(
        "{*completion,accumulated}.usage.prompt_tokens_details.audio_tokens",
        "OpenAI's usage always has this count, a server without audio leaves it out",
        native=None,
        adapted=0,
    ),
    Difference(
        "usage.usage.prompt_tokens_details.audio_tokens",
        "the same, in the chunk",
        native=ABSENT,
        adapted=0,
    ),
    Difference(
        "{*completion,accumulated}.usage.completion_tokens_details.{audio,accepted_prediction,rejected_prediction}_tokens",
        "OpenAI's usage always has these counts; vLLM has the object, but not them",
        servers=VLLM,
        native=None,
        adapted=0,
    ),
    Difference(
        "usage.usage.completion_tokens_details.{audio,accepted_prediction,rejected_prediction}_tokens",
        "the same, in the chunk",
        servers=VLLM,
        native=ABSENT,
        adapted=0,
    ),
    Difference(
        "{first,finish}.usage",
        "with include_usage every chunk of OpenAI's has the key, null until the last",
        native=ABSENT,
        adapted=None,
    ),
    Difference(
        "first.choices[*].delta.refusal",
        "OpenAI's first chunk has the key, null",
        native=ABSENT,
        adapted=None,
    ),
    Difference(
        "{first,finish}.choices[*].logprobs",
        "null in each chunk where none were asked for, says the API's description",
        servers=LLAMACPP,
        native=ABSENT,
        adapted=None,
    ),
    Difference(
        "first.choices[*].delta.tool_calls[*].*",
        "OpenAI's first chunk of a call has its id and name; these servers open with a chunk of the role alone",
        scenarios=_STREAMED_CALLS,
        native=ABSENT,
    ),
    Difference(
        "first.choices[*].delta.content",
        "OpenAI's first chunk of a text has an empty one, this server's null",
        servers=LLAMACPP,
        native=None,
        adapted="",
    ),
    Difference(
        "{first.choices[*].delta,accumulated.choices[*].message}.content",
        "beside calls OpenAI's content is null, this server's stream opens with an empty text",
        servers=VLLM,
        scenarios=_STREAMED_CALLS,
        native="",
        adapted=None,
    ),
    Difference(
        "completion.choices[*].message.content",
        "beside calls OpenAI's content is null, here it is an empty text (vLLM: where a call was forced)",
        scenarios=_CALLS,
        native="",
        adapted=None,
    ),
    # Only one of a server's two APIs has these.
    Difference(
        "{*completion,accumulated,first,finish,usage}.system_fingerprint",
        "names the server's build; the Responses API has no such field",
        adapted=None,
    ),
    Difference(
        "{*completion,accumulated}.service_tier",
        "vLLM's Response repeats the request's default, its Chat does not",
        servers=VLLM,
        native=None,
        adapted="auto",
    ),
    Difference(
        "{first,finish,usage}.service_tier",
        "the same, in chunks",
        servers=VLLM,
        native=ABSENT,
        adapted="auto",
    ),
    Difference(
        "{*completion,accumulated}.usage.prompt_tokens_details.cache_write_tokens",
        "counted on vLLM's Responses API, named otherwise on its Chat",
        servers=VLLM,
        native=None
        if "cache_write_tokens" in PromptTokensDetails.model_fields
        else ABSENT,  # the field is a new one
        adapted=0,
    ),
    Difference(
        "usage.usage.prompt_tokens_details.cache_write_tokens",
        "the same, in the chunk",
        servers=VLLM,
        native=ABSENT,
        adapted=0,
    ),
    Difference(
        "{*completion,accumulated,usage}.usage.{prompt,completion}_tokens_details.*_per_turn",
        "counts that vLLM has on its Responses API alone; what a server counts beyond Chat's own is kept",
        servers=VLLM,
        native=ABSENT,
        adapted=[],
    ),
    Difference(
        "{*completion,accumulated,usage}.usage.completion_tokens_details.tool_output_tokens",
        "the same",
        servers=VLLM,
        native=ABSENT,
        adapted=0,
    ),
    Difference(
        "{*completion,accumulated,usage}.usage.prompt_tokens_details.created_cache_tokens",
        "vLLM's name for it",
        servers=VLLM,
        native=0,
        adapted=ABSENT,
    ),
    Difference(
        "*completion.usage.prompt_tokens_details.multimodal_tokens",
        "a key of vLLM's own",
        servers=VLLM,
        native=None,
        adapted=ABSENT,
    ),
    Difference(
        "*completion.{ec_transfer_params,kv_transfer_params,metrics,prompt_logprobs,prompt_text,prompt_token_ids}",
        "keys of vLLM's own",
        servers=VLLM,
        native=None,
        adapted=ABSENT,
    ),
    Difference(
        "*completion.choices[*].{routed_experts,stop_reason,token_ids}",
        "keys of vLLM's own",
        servers=VLLM,
        native=None,
        adapted=ABSENT,
    ),
    Difference(
        "{accumulated,first}.{prompt_text,prompt_token_ids}",
        "keys of vLLM's own",
        servers=VLLM,
        native=None,
        adapted=ABSENT,
    ),
    Difference(
        "finish.choices[*].{stop_reason,token_ids}",
        "keys of vLLM's own",
        servers=VLLM,
        native=None,
        adapted=ABSENT,
    ),
    Difference(
        "{completion,finish,usage}.timings.*",
        "measurements of llama.cpp's own",
        servers=LLAMACPP,
        adapted=ABSENT,
    ),
    Difference(
        "{completion,accumulated}.choices[*].message.reasoning_content",
        "a key of llama.cpp's own: OpenAI's Chat never shows reasoning",
        servers=LLAMACPP,
        scenarios=("reasoning*",),
        adapted=ABSENT,
    ),
    Difference(
        "*completion.choices[*].message.reasoning",
        "a key of vLLM's own, null without reasoning: OpenAI's Chat never shows it",
        servers=VLLM,
        adapted=ABSENT,
    ),
    Difference(
        "accumulated.choices[*].message.reasoning",
        "the same, in a stream",
        servers=VLLM,
        scenarios=("reasoning*",),
        adapted=ABSENT,
    ),
    Difference(
        "order",
        "the chunks of such a key",
        servers=LLAMACPP,
        scenarios=("reasoning*",),
        native="reasoning_content content finish usage",
        adapted="content finish usage",
    ),
    Difference(
        "order",
        "the chunks of such a key",
        servers=VLLM,
        scenarios=("reasoning*",),
        native="reasoning content finish usage",
        adapted="content finish usage",
    ),
    # The two APIs of a server disagree here.
    Difference(
        "{completion,accumulated,usage}.usage.{prompt_tokens,total_tokens}",
        "the Responses API wants `parameters`, so an empty schema is written out, and llama.cpp counts its tokens",
        servers=LLAMACPP,
        scenarios=("tool_no_parameters*",),
    ),
    Difference(
        "{first,accumulated,finish,usage}.model",
        "llama.cpp's first events don't name the model that answers, so chunks name the one asked for",
        servers=LLAMACPP,
        scenarios=("reasoning*",),
        native="tiny",
        adapted="gpt-5.2",
    ),
    Difference(
        "{first,accumulated,finish,usage}.created",
        "llama.cpp's first events don't say when the response was made",
        servers=LLAMACPP,
        native=True,
        adapted=False,
    ),
    Difference(
        "{completion,accumulated,finish}.choices[*].finish_reason",
        "cut short by the token limit, llama.cpp's Response says completed",
        servers=LLAMACPP,
        scenarios=("length*",),
        native="length",
        adapted="stop",
    ),
    Difference(
        "{completion,accumulated,finish}.choices[*].finish_reason",
        "vLLM's Chat ends a named call with stop, as OpenAI's older models; a model unknown to us is taken for a newer one",
        servers=VLLM,
        scenarios=("tool_choice_named*",),
        native="stop",
        adapted="tool_calls",
    ),
    Difference(
        "finish.choices[*].delta.content",
        "vLLM's Chat sends the last piece of a text that was cut in its finish chunk, OpenAI's before it",
        servers=VLLM,
        scenarios=("length_stream",),
        adapted=ABSENT,
    ),
    Difference(
        "finish.choices[*].delta",
        "the same",
        servers=VLLM,
        scenarios=("length_stream",),
        native=ABSENT,
        adapted={},
    ),
    Difference(
        "{accumulated.choices[*].logprobs.content[16],finish.choices[*].logprobs.content[*]}.*",
        "vLLM's Chat streams the logprobs of the token that ends the turn, its Responses API doesn't",
        servers=VLLM,
        scenarios=("logprobs_stream",),
        adapted=ABSENT,
    ),
    Difference(
        "finish.choices[*].logprobs",
        "the same",
        servers=VLLM,
        scenarios=("logprobs_stream",),
        native=ABSENT,
        adapted=None,
    ),
    Difference(
        "first.choices[*].logprobs*",
        "where logprobs are asked for, OpenAI's first chunk has an empty list of them",
        servers=VLLM,
        scenarios=("logprobs_stream",),
    ),
)
"""Every difference due to a server. Tests require that each of them still occurs."""
