"""Recognise base URLs of other vendors, whose APIs the same SDK can call."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HOSTS = """
    ai-gateway.vercel.sh ai.google.dev ai21.com aihubmix.com aimlapi.com aiplatform.googleapis.com
    aliyuncs.com amazonaws.com anthropic.com anyscale.com arliai.com baichuan-ai.com baidubce.com
    baseten.co bigmodel.cn cerebras.ai chutes.ai cohere.ai cohere.com crusoe.ai databricks.com
    deepbricks.ai deepinfra.com deepseek.com digitalocean.com do-ai.run edenai.run featherless.ai
    fireworks.ai friendli.ai generativelanguage.googleapis.com githubcopilot.com gmi-serving.com
    gmicloud.ai groq.com huggingface.co hyperbolic.xyz hyperbolic.ai inceptionlabs.ai
    inference.ai.azure.com inference.net inflection.ai infini-ai.com intern-ai.org.cn kluster.ai
    lambda.ai lambdalabs.com lepton.ai lepton.run lingyiwanwu.com llama.com llmapi.com
    longcat.chat meta.ai minimax.chat minimax.io minimaxi.com mistral.ai models.github.ai
    modelscope.cn moonshot.ai moonshot.cn morphllm.com myqcloud.com nebius.ai nebius.com
    netmind.ai novita.ai nscale.com nvidia.com octoai.cloud octoai.run ollama.com openrouter.ai
    orcarouter.ai ovh.net parasail.io perplexity.ai ppinfra.com predibase.com pplx.ai reka.ai
    replicate.com requesty.ai runpod.ai sambanova.ai scaleway.ai scw.cloud sensenova.cn
    siliconflow.cn siliconflow.com snowflakecomputing.com stepfun.com tencent.com
    tencentcloudapi.com theta.ai together.ai together.xyz upstage.ai venice.ai volces.com
    volcengine.com vultrinference.com wandb.ai watsonplatform.net ml.cloud.ibm.com writer.com x.ai
    xf-yun.com xfyun.cn yandex.net yandexcloud.net z.ai zhipuai.cn
"""
HOSTS = tuple(_HOSTS.split())
"""Domains of other vendors whose APIs are used with the SDK's clients."""

_VENDOR_WORDS = re.compile(
    r"(?:^|_)("
    r"ai21|anthropic|bailian|bigmodel|cerebras|claude|cohere|dashscope|databricks|deepinfra|"
    r"deepseek|doubao|fireworks|gemini|github_models|glm|grok|groq|huggingface|hunyuan|"
    r"hyperbolic|kimi|minimax|mistral|modelscope|moonshot|nebius|novita|nvidia|nim|openrouter|"
    r"perplexity|qianfan|qwen|sambanova|siliconflow|stepfun|together|together_ai|togetherai|"
    r"volcengine|xai|zhipu|zhipuai"
    r")(?:_|$)"
)
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HOST = re.compile(r"\w+://(?:[^/@…]*@)?\[?([^/:?#\]]+)")


def vendor_of(texts: Iterable[str]) -> str | None:
    """Return a vendor's domain if every known value of a base URL is a vendor's, else None."""
    found = None
    for text in texts:
        if not text:
            return None  # the SDK's default: OpenAI
        host = _HOST.match(text.strip())
        if host is None:
            continue  # not known
        name = host[1].lower().rstrip(".").lstrip("…")
        found = next((one for one in HOSTS if name == one or name.endswith(f".{one}")), None)
        if found is None:
            return None
    return found


def is_named_after_vendor(names: Iterable[str]) -> bool:
    """Return whether a base URL is read from a vendor's name: `DEEPSEEK_BASE_URL`, `groqUrl`."""
    words = [_CAMEL_CASE.sub("_", name).lower() for name in names]
    if any("openai" in one and not _VENDOR_WORDS.search(one) for one in words):
        return False  # may be OpenAI's own
    return any(_VENDOR_WORDS.search(one) for one in words)
