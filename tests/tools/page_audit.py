"""Check the page of `adapter audit` in a real browser: wide, narrow and dark.

Run by hand, with Chromium installed: `python -m tests.tools.page_audit [FOLDER]`; screenshots are
kept in FOLDER. It checks that nothing is wider than the screen, that only the page is requested,
that the dark page is dark, and that text has enough contrast.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any

from adapter import Settings
from adapter.tools.audit import report, run
from adapter.tools.audit.html_page import page
from tests.support import traffic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Headless browsers are at least 500 pixels wide, so the page is shown in a frame.
FRAME = """<!doctype html><body style="margin:0">
<iframe id=f src="page.html" style="width:{width}px;height:{height}px;border:0"></iframe>
<script>
f.onload = () => {{
  const d = f.contentDocument, body = getComputedStyle(d.body);
  const wide = [...d.querySelectorAll("body *")].filter(one => !one.closest(".scroll, pre")
    && one.getBoundingClientRect().right > {width} + 0.5);
  const thin = [...d.querySelectorAll("td, th, .label")].map(one => one.getBoundingClientRect())
    .filter(one => one.width < 48 && one.height > 96).length;
  const root = d.documentElement;
  const out = {{thin, width: root.scrollWidth, height: root.scrollHeight,
                wide: wide.map(one => one.className || one.tagName),
                ground: body.backgroundColor, ink: body.color,
                loaded: f.contentWindow.performance.getEntriesByType("resource").length}};
  document.body.append(Object.assign(document.createElement("script"),
    {{type: "application/json", id: "found", textContent: JSON.stringify(out)}}));
}};
</script>"""
VIEWS = {
    "wide": (1280, ()),
    "narrow": (390, ()),
    "dark": (1280, ("--blink-settings=preferredColorScheme=0",)),
    "narrow-dark": (390, ("--blink-settings=preferredColorScheme=0",)),
}


def corner(picture: Path) -> tuple[int, ...]:
    """Return the red, green and blue of a PNG's first pixel, which no filter changes."""
    data, packed, at = picture.read_bytes(), b"", 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return tuple(zlib.decompressobj().decompress(packed, 4)[1:4])


def luminance(color: tuple[int, ...]) -> float:
    """Return the relative luminance by the definition of WCAG."""
    parts = [value / 255 for value in color]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(text: str) -> tuple[int, ...]:
    """Read `rgb(1, 2, 3)`."""
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


class Server(http.server.ThreadingHTTPServer):
    """Serve a folder on the loopback interface, and record the requests."""

    def __init__(self, folder: Path) -> None:
        self.requested: list[str] = []
        asked = self.requested

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)


def browse(browser: str, url: str, *options: str) -> str:
    """Run the browser headless and return its output."""
    common = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=3000",
        "--disable-background-networking",
    )
    done = subprocess.run(
        [browser, *common, *options, url], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def main() -> int:
    """Print the results; return 1 if there is a problem."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("skipped: no Chromium here")
        return 0
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "page"
        folder.mkdir(parents=True, exist_ok=True)
        traffic.write(Path(temporary) / "logs", 20_000)
        settings = Settings()
        figures = report(run.audit([Path(temporary) / "logs"], settings).summary, settings)
        # A very long name, and a path without a place to break.
        figures["models"].insert(
            2,
            {
                **figures["models"][0],
                "model": "acme/" + "very-long-name-of-a-model-" * 2 + "x" * 20,
            },
        )
        figures["held"].append(
            {"name": "messages[].content[]." + "x" * 60, "requests": 1, "share": 0.0}
        )
        (folder / "page.html").write_text(page({**figures, "logs": 4}), encoding="utf-8")
        server = Server(folder)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for name, (width, options) in VIEWS.items():
            (folder / "frame.html").write_text(
                FRAME.format(width=width, height=900), encoding="utf-8"
            )
            dumped = re.search(
                r'id="found">(.*?)</script>',
                browse(browser, f"{url}/frame.html", "--dump-dom", *options),
            )
            assert dumped is not None
            found = json.loads(dumped[1])
            (folder / "frame.html").write_text(
                FRAME.format(width=width, height=found["height"]), encoding="utf-8"
            )
            size = f"--window-size={max(width, 500)},{found['height']}"
            browse(
                browser, f"{url}/frame.html", f"--screenshot={folder / name}.png", size, *options
            )
            pixel, ground, ink = (
                corner(folder / f"{name}.png"),
                rgb(found["ground"]),
                rgb(found["ink"]),
            )
            contrast = (max(map(luminance, (ground, ink))) + 0.05) / (
                min(map(luminance, (ground, ink))) + 0.05
            )
            dark = "dark" in name
            print(
                f"{name}: {found['width']} × {found['height']} in {width}, first pixel {pixel}, "
                f"contrast {contrast:.1f}, {found['loaded']} resources"
            )
            problems += [f"{name}: {one} is wider than the screen" for one in found["wide"]]
            checks = {
                "wider than the screen": found["width"] <= width,
                "squeezed": found["thin"] == 0,
                "loads something": found["loaded"] == 0,
                "another background than in its style": pixel == ground,
                "not dark": not dark or max(pixel) < 64,
                "not light": dark or min(pixel) > 192,
                "faint": contrast >= 7,
            }
            problems += [f"{name}: {what}" for what, right in checks.items() if not right]
        server.shutdown()
        requested = {path for path in server.requested if path != "/favicon.ico"}
        problems += [
            f"requested {path}" for path in sorted(requested - {"/frame.html", "/page.html"})
        ]
        (folder / "frame.html").unlink()
    print("\n".join(problems) or "no problems")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
