"""Audit a million generated requests: correctness, speed, memory, and resuming after kill -9.

    python -m bench.audit [COUNT]

The traffic is written to a temporary folder (about 0.7 GB per million), which is deleted.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.support import traffic


def _tree(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0) * 1024


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    code = (
        "import sys; from adapter.tools.cli import main; "
        "sys.argv = ['adapter', *sys.argv[1:]]; main()"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTER_")}
    command = [sys.executable, "-c", code, "audit", str(folder), "--json", *options]
    return subprocess.Popen(  # noqa: S603  # a fixed command
        command, stdout=subprocess.PIPE, text=True, env=clean, cwd=Path(__file__).parents[1]
    )


def run(folder: Path, *options: str) -> tuple[dict[str, Any], float, int]:
    """Audit a folder; return the report, the seconds, and the peak bytes of all processes."""
    began, peak, over = time.perf_counter(), 0, threading.Event()
    process = _start(folder, *options)

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            peak = max(peak, sum(map(_resident, _tree(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    written, _ = process.communicate()
    over.set()
    watcher.join()
    assert process.returncode in (0, 1), process.returncode
    return json.loads(written), time.perf_counter() - began, peak


def _cpu() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kill(folder: Path, state: Path, share: float, total: int) -> int:
    """Audit a folder, kill it after a share of the requests; return how many it counted."""
    process = _start(folder, "--state", str(state))
    counted = 0
    while process.poll() is None and counted < share * total:
        time.sleep(0.05)
        if state.exists():
            counted = sum(
                json.loads(state.read_text())["summary"]["tables"].get("rows", {}).values()
            )
    workers = _tree(process.pid)[1:]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for _ in range(100):
        if not any(map(_resident, workers)):
            break
        time.sleep(0.1)
    assert not any(map(_resident, workers)), "workers outlived their parent process"
    return counted


def main() -> None:
    """Print the results."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        folder, state = Path(temporary) / "logs", Path(temporary) / "state.json"
        totals = traffic.write(folder, count, files=8)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(
            f"{count:,} lines, {size / 1e6:,.0f} MB in {len(list(folder.iterdir()))} files, "
            "one of them compressed",
            flush=True,
        )
        spent = _cpu()
        whole, seconds, peak = run(folder)
        spent = _cpu() - spent
        wrong = traffic.differences(whole, totals)
        print(f"figures: {'; '.join(wrong) or 'as generated'}")
        print(
            f"rate: {count / seconds:,.0f} per second ({seconds:.1f} s, all cores), "
            f"{count / spent:,.0f} per second of CPU"
        )
        print(f"memory of all processes together: {peak / 1e6:,.0f} MB", flush=True)
        counted = kill(folder, state, 0.4, count)
        resumed, seconds, _ = run(folder, "--state", str(state))
        same = resumed == whole
        print(
            f"killed after {counted:,} lines, resumed for {seconds:.1f} s: "
            f"{'the same report' if same else 'ANOTHER report'}"
        )
        assert not wrong
        assert same


if __name__ == "__main__":
    main()
