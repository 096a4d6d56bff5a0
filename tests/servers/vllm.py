"""Start vLLM on the CPU on the scripted model, to record cassettes; no test uses it.

vLLM lives in an environment of its own, which takes minutes and 2.5 GB: `cassettes/README.md` says how to make it. By hand:
`python -m tests.servers.vllm VENV [PORT [KEY]]`. The server is ready after about 40 seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import NAMES, ServerUnavailable
from tests.servers.process import Server, await_ready, run_by_hand, stop, usable_port

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_RESPONSES_API_STORE": "1",  # previous_response_id, retrieve
}
_OPTIONS = [
    *("--max-model-len", "4096", "--dtype", "float32", "--enforce-eager", "--seed", "0"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"),
    *("--default-chat-template-kwargs", '{"enable_thinking": false}'),
    *("--override-generation-config", '{"temperature": 0}'),
    *("--max-logprobs", "20", "--enable-prompt-tokens-details", "--no-enable-prefix-caching"),
]


@contextmanager
def serve(
    environment: Path, *, api_key: str | None = None, port: int = 0, patience: float = 240.0
) -> Iterator[Server]:
    """Run vLLM from the virtual environment `environment` until the block ends."""
    python = environment / "bin" / "python"
    if not python.exists():
        raise ServerUnavailable(f"no Python at {python}: make the environment first")
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory(prefix="tiny-") as folder:
        model, log = Path(folder, "model"), Path(folder, "log")
        # In vLLM's environment, which has the libraries that write the folder.
        build = (
            "import pathlib, sys; from tests.servers.formats import write_folder; from tests.servers.network import build; "
            "write_folder(build(), pathlib.Path(sys.argv[1]))"
        )
        subprocess.run([str(python), "-c", build, str(model)], check=True, cwd=root)
        server = Server("127.0.0.1", usable_port(port), api_key)
        command = [
            str(python),
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            str(model),
            "--served-model-name",
            *NAMES,
        ]
        command += ["--host", server.host, "--port", str(server.port), *_OPTIONS]
        command += ["--api-key", api_key] if api_key else []
        with log.open("wb") as out:
            # Its working directory is the temporary folder, so that nothing of the repository is imported or written.
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **_ENVIRONMENT},
            )
            try:
                await_ready(server, process, log, patience)
                yield server
            finally:
                stop(process)


if __name__ == "__main__":
    venv, port, key = (*sys.argv[1:], *("0", "")[len(sys.argv) - 2 :])
    run_by_hand(serve(Path(venv), port=int(port), api_key=key))
