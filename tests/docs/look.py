"""Look at the built site in a browser: overflow, contrast, and requests to other hosts.

Standard library only, and Chromium: `python -m tests.docs.look` after `make docs`. Every page is
opened at 1280 and 390 pixels, light and dark, from a server on the loopback. `--shots FOLDER` also
keeps pictures; arguments such as `reference/settings/` name the pages to look at.
"""

from __future__ import annotations

import argparse
import base64
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {1280: 900, 390: 844}
SCHEMES = ("light", "dark")
LEAST_CONTRAST = 4.5

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--no-sandbox",
)  # fmt: skip

MEASURE = r"""
(() => {
  const number = (text) => {
    const parts = text.match(/[\d.]+%?/g).map((one) =>
      one.endsWith("%") ? parseFloat(one) * 2.55 : parseFloat(one));
    return [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1];
  };
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const colour = (text) => {  // whatever the notation
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(text, /^rgba?\(/.test(text) ? number(text) : [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, bottom) => {
    const a = top[3];
    return [0, 1, 2].map((k) => top[k] * a + bottom[k] * (1 - a)).concat(1);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      value /= 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const found = colour(getComputedStyle(one).backgroundColor);
      if (found[3] > 0) layers.push(found);
      if (found[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let one = element; one; one = one.parentElement)
      product *= parseFloat(getComputedStyle(one).opacity);
    return product;
  };
  const poor = new Map();
  let least = 21, texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (/^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE)$/.test(element.tagName)) continue;
    const shown = opacity(element);
    if (shown < 0.05) continue;  // shown on hovering, in full
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) continue;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const ink = colour(style.color);
    const front = over([ink[0], ink[1], ink[2], ink[3] * shown], behind);
    const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    texts += 1;
    least = Math.min(least, ratio);
    if (ratio < LEAST) {
      const where = `${element.tagName.toLowerCase()}.${element.className}`.slice(0, 60);
      if (!poor.has(where)) poor.set(where, `${ratio.toFixed(2)} ${node.data.trim().slice(0, 30)}`);
    }
  }
  const root = document.documentElement;
  const wide = [];
  if (root.scrollWidth > root.clientWidth)
    for (const one of document.querySelectorAll("article *"))
      if (one.getBoundingClientRect().right > root.clientWidth + 1 && !one.closest(".md-typeset__scrollwrap, pre, .highlight"))
        wide.push(`${one.tagName.toLowerCase()}.${one.className}: ${one.textContent.trim().slice(0, 40)}`);
  return { overflow: root.scrollWidth - root.clientWidth, wide: wide.slice(0, 3), least, texts,
           poor: Object.fromEntries(poor) };
})()
"""


@dataclass
class Found:
    """What was found on all pages."""

    views: int = 0
    texts: int = 0
    least: float = 21.0
    overflows: list[str] = field(default_factory=list)
    poor: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """All problems, each in a line."""
        return [*self.overflows, *self.poor, *self.outside]


class Browser:
    """Chromium, spoken to over a pair of pipes in Chrome's DevTools protocol."""

    def __init__(self, program: str, profile: str) -> None:
        there, self._write = os.pipe()
        self._read, back = os.pipe()

        def connect() -> None:  # the protocol's file descriptors are 3 and 4
            kept = os.dup(there), os.dup(back)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        self._process = subprocess.Popen(
            [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect,  # noqa: PLW1509  # before any thread is started
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        self._numbers, self._rest = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method; keep the events that come meanwhile."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == number:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                result: dict[str, Any] = got["result"]
                return result
            self.events.append(got)

    def wait_for(self, event: str) -> None:
        """Wait for an event."""
        while all(one.get("method") != event for one in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        made: dict[str, Any] = json.loads(line)
        return made


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def look(site: Path, pages: list[str], shots: Path | None, program: str) -> Found:
    """Open each page in each width and scheme, and measure it."""
    found = Found()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            with served(site) as base:
                _look(browser, base, pages, shots, found)
        finally:
            browser.close()
    return found


def _look(browser: Browser, base: str, pages: list[str], shots: Path | None, found: Found) -> None:
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Runtime"):
        browser.call(f"{domain}.enable", session)
    for (width, height), scheme, page in itertools.product(WIDTHS.items(), SCHEMES, pages):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.call("Emulation.setDeviceMetricsOverride", session, **metrics)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.call("Emulation.setEmulatedMedia", session, features=features)
        browser.events.clear()
        browser.call("Page.navigate", session, url=base + page)
        browser.wait_for("Page.loadEventFired")
        settled = "new Promise((done) => setTimeout(done, 250))"
        browser.call("Runtime.evaluate", session, expression=settled, awaitPromise=True)
        expression = MEASURE.replace("LEAST)", f"{LEAST_CONTRAST})")
        answer = browser.call(
            "Runtime.evaluate", session, expression=expression, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        name = f"{page or 'start'} at {width} px, {scheme}"
        _note(found, name, answer["result"]["value"])
        for event in browser.events:
            if event.get("method") == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                if not url.startswith((base, "data:", "blob:")):
                    found.outside.append(f"{name}: asked for {url}")
        if shots:
            picture = browser.call("Page.captureScreenshot", session, format="png")
            file = f"{page.strip('/').replace('/', '-') or 'start'}-{width}-{scheme}.png"
            (shots / file).write_bytes(base64.b64decode(picture["data"]))


def _note(found: Found, name: str, measured: dict[str, Any]) -> None:
    found.views += 1
    found.texts += measured["texts"]
    found.least = min(found.least, measured["least"])
    if measured["overflow"] > 0:
        found.overflows.append(
            f"{name}: {measured['overflow']} px wider than the window {measured['wide']}"
        )
    found.poor += [f"{name}: contrast {what} ({where})" for where, what in measured["poor"].items()]


def pages_of(site: Path) -> list[str]:
    """Return the pages of a site, as in its addresses."""
    found = (path.relative_to(site).parent.as_posix() for path in site.rglob("index.html"))
    return sorted("" if one == "." else f"{one}/" for one in found)


def main() -> int:
    """Look at the pages, and print what is wrong and the figures."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="pages such as reference/settings/; else all")
    parser.add_argument("--site", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--shots", type=Path, help="a folder for pictures")
    asked = parser.parse_args()
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if program is None or not (asked.site / "index.html").is_file():
        print("needs Chromium, and the site: make docs", file=sys.stderr)
        return 2
    if asked.shots:
        asked.shots.mkdir(parents=True, exist_ok=True)
    pages = ["" if page == "/" else page for page in asked.pages] or pages_of(asked.site)
    found = look(asked.site, pages, asked.shots, program)
    print("\n".join(found.problems) or "nothing to mend")
    print(
        f"{len(pages)} pages, {found.views} views, {found.texts} texts: least contrast "
        f"{found.least:.2f}, {len(found.overflows)} overflows, "
        f"{len(found.outside)} requests to other hosts"
    )
    return int(bool(found.problems))


if __name__ == "__main__":
    sys.exit(main())
