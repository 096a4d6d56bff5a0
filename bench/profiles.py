"""Profile a stream, a short call and a call with a long history, by functions' own time.

    python -m bench.profiles    both ways in, and the SDK's native chat call for comparison

Function calls cost more under the profiler, so read the shares, not the times.
"""

from __future__ import annotations

import cProfile
import pstats
import re

from .clients import (
    CLIENT,
    NATIVE,
    TRANSPORT,
    Work,
    client,
    history,
    opened,
    question,
    texts,
    whole,
)
from .server import Server

SHOWN = 12
_PLACE = re.compile(r".*?(?:site-packages|lib/python3\.\d+)/|.*/(?=(?:adapter|bench)/)")


def profile(work: Work, rounds: int) -> list[str]:
    """Run some work; return its functions, with their share of the time and calls per round."""
    work()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(rounds):
        work()
    profiler.disable()
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # missing in typeshed
    total = sum(own for _, _, own, _, _ in stats.values())
    found = sorted(stats.items(), key=lambda entry: -entry[1][2])
    lines = [f"{total / rounds * 1e3:.2f} ms for each, under the profiler"]
    for (file, _, name), (_, calls, own, _, _) in found[:SHOWN]:
        place = _PLACE.sub("", file) if file != "~" else "built in"
        lines.append(
            f"{own / total:6.1%} {calls / rounds:9.1f} calls  {place}: "
            f"{re.sub(' at 0x[0-9a-f]+', '', name)}"
        )
    return lines


def main() -> None:
    """Print all profiles."""
    with Server() as server:
        for name in (NATIVE, CLIENT, TRANSPORT):
            made = client(name, server.base_url, "n200-g0")

            def read(name: str = name, made: object = made) -> None:
                for _ in texts(name, opened(name, made)):
                    pass

            works: dict[str, tuple[Work, int]] = {
                "a stream of 200 deltas": (read, 20),
                "a whole answer, 1 message": (whole(name, made, question()), 200),
                "a whole answer, 1000 messages": (whole(name, made, history(1000)), 3),
            }
            for what, (work, rounds) in works.items():
                print(f"\n{name}: {what}")
                print("\n".join(profile(work, rounds)))


if __name__ == "__main__":
    main()
