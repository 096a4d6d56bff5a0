"""The demo as a terminal shows it, recorded from the command itself."""

from __future__ import annotations

import io
import re
from unittest import mock

from rich.color import blend_rgb
from rich.terminal_theme import TerminalTheme

from adapter.tools.cli import demo
from adapter.tools.cli.console import _Console

from .svg import SCHEMES

COLUMNS, PROGRAM = 100, "backoff"

# The colours of black, red, green, yellow, blue, magenta, cyan and white, and the bright ones.
_THEMES = {
    "light": TerminalTheme(
        (250, 251, 252), (27, 39, 51),
        [(27, 39, 51), (163, 32, 32), (20, 100, 50), (125, 78, 0), (30, 70, 160), (120, 40, 120), (0, 95, 110), (68, 82, 95)],
    ),
    "dark": TerminalTheme(
        (30, 36, 46), (232, 237, 242),
        [(80, 90, 100), (245, 140, 130), (125, 210, 150), (235, 200, 110), (140, 180, 250), (220, 160, 220), (120, 215, 225), (232, 237, 242)],
    ),
}  # fmt: skip

# Rich's own form, without its fonts, which a browser would load from a network.
_FORM = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>adapter demo: one program on both APIs, side by side</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(scheme: str) -> str:
    """Run the demo of one program, and draw what it printed."""
    console = _Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        _environ={},
    )
    with mock.patch.object(demo, "out", return_value=console):
        demo.demo(only=[PROGRAM])
    drawn = console.export_svg(
        title=f"adapter demo --only {PROGRAM}",
        theme=_THEMES[scheme],
        code_format=_FORM,
        unique_id="demo",
    )
    theme = _THEMES[scheme]
    dimmed = blend_rgb(theme.foreground_color, theme.background_color, 0.4).hex
    drawn = drawn.replace(dimmed, SCHEMES[scheme].line)  # legible
    # Lines end where their text does.
    return re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE)
