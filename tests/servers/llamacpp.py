"""Start llama.cpp's own server, from the `xllamacpp` wheel, on the scripted model.

In a test: `with serve() as server: OpenAI(base_url=server.base_url, ...)`. By hand: `python -m tests.servers.llamacpp [PORT [KEY]]`.
The server runs in a subprocess, because the wheel's server can't be stopped inside its own process, and its crash should cost a
test and not the test run.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ServerUnavailable
from tests.servers.process import Server, await_ready, run_by_hand, stop, usable_port

NEEDS = ("xllamacpp", "gguf", "numpy")


@contextmanager
def serve(*, api_key: str | None = None, port: int = 0, patience: float = 60.0) -> Iterator[Server]:
    """Run the server on this machine until the block ends.

    With port 0 a free port is taken. Raises `ServerUnavailable` where the wheels aren't installed or the server doesn't start
    within `patience` seconds.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ServerUnavailable(
            f"llama.cpp's server needs {', '.join(missing)}: python3 -m tests.environments servers"
        )
    from tests.servers.formats import write_gguf
    from tests.servers.network import build

    with tempfile.TemporaryDirectory(prefix="tiny-") as folder:
        model, log = Path(folder, "tiny.gguf"), Path(folder, "log")
        write_gguf(build(), model)
        server = Server("127.0.0.1", usable_port(port), api_key)
        command = [
            sys.executable,
            "-m",
            "tests.servers.llamacpp",
            "--run",
            str(model),
            str(server.port),
            api_key or "",
        ]
        with log.open("wb") as out:
            root = Path(__file__).resolve().parents[2]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=root)
            try:
                await_ready(server, process, log, patience)
                yield server
            finally:
                stop(process)


def _run(model: str, port: int, api_key: str) -> None:
    """Be the server: called in the subprocess."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}  # it answers to any name, and always calls itself by this one
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_ctx, params.n_parallel, params.n_predict = 16384, 4, 512
    params.use_jinja = True
    params.warmup = params.ui = params.show_timings = params.fit_params = False
    params.no_perf = True
    params.cpuparams.n_threads, params.n_threads_http, params.n_gpu_layers = 1, 4, 0
    # Greedy and without prompt cache: the same reply, and the same token counts, at every run.
    params.sampling.seed, params.sampling.temp = 42, 0.0
    params.cache_prompt, params.cache_ram_mib = False, 0
    if api_key:
        params.api_keys = [api_key]
    server = xllamacpp.Server(params)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("listening", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        _run(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        port, key = (*sys.argv[1:], *("0", "")[len(sys.argv) - 1 :])
        run_by_hand(serve(port=int(port), api_key=key))
