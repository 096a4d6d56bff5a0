"""Audit on a Ray cluster of two nodes, one of which is killed: the figures don't change.

Run by hand, `$(python3 -m tests.environments ray) -m tests.tools.ray_audit [COUNT]`. It isn't part
of the suite: Ray is large, and slow to start.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from adapter import Settings
from adapter.tools.audit import report, run
from tests.support import traffic


def main() -> int:
    """Print the results; return 1 if the figures differ."""
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError:
        print("skipped: Ray isn't installed (python3 -m tests.environments ray)")
        return 0
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder, state = Path(temporary) / "logs", Path(temporary) / "state.json"
        totals = traffic.write(folder, count, files=6)
        began = time.perf_counter()
        alone = run.audit([folder], Settings(), size=1 << 20)
        print(f"local: {time.perf_counter() - began:.1f} s", flush=True)
        # The head node only coordinates: all work is on the two nodes, one of which is killed.
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        try:
            for name, killing in (
                ("ray, two nodes", False),
                ("ray, one of two nodes killed", True),
            ):
                progressed = 0
                killed = ""

                def advance(_: int, *, killing: bool = killing) -> None:
                    nonlocal progressed, killed
                    progressed += 1
                    if killing and progressed == 4:  # some blocks are counted, others are running
                        cluster.remove_node(nodes[1], allow_graceful=False)
                        killed = f"; the node was killed after {progressed - 1} blocks"

                began = time.perf_counter()
                state.unlink(missing_ok=True)
                on_ray = run.audit(
                    [folder], Settings(), engine="ray", size=1 << 20, state=state, progress=advance
                )
                wrong = traffic.differences(report(on_ray.summary, Settings()), totals)
                same = on_ray.summary.to_json() == alone.summary.to_json()
                failed |= bool(wrong) or not same or killing is not bool(killed)
                words = (
                    "the same figures"
                    if same and not wrong
                    else f"OTHER FIGURES {json.dumps(wrong)}"
                )
                alive = sum(node["Alive"] for node in ray.nodes()) - 1
                print(
                    f"{name}: {words} ({time.perf_counter() - began:.1f} s, "
                    f"{progressed - 1} blocks, {alive} nodes left{killed})",
                    flush=True,
                )
        finally:
            ray.shutdown()
            cluster.shutdown()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
