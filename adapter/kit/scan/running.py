"""Scan many files, in several processes where that pays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.errors import MissingExtra
from adapter.regular import Unreadable
from adapter.routing.call_site import module_name, named
from adapter.routing.settings import Settings

from . import sources

if TYPE_CHECKING:
    from .assess import Assessment
    from .site import Site

_WORTH_PROCESSES = 40  # files to be parsed; below that, starting processes costs more than it saves


@dataclass(frozen=True, slots=True)
class Finding:
    """A call site with its file (as it was named), cell of a notebook, module and assessment."""

    file: str
    site: Site
    cell: int | None
    module: str
    assessed: Assessment
    in_test: bool

    @property
    def call_site(self) -> str:
        """Return the site as rules name it: `module:function`."""
        return named(self.module, self.site.owner)


@dataclass(slots=True)
class Report:
    """What a scan found.

    Call sites; recordings, and the inputs of batches, that name the endpoint (line numbers by
    file); and files that couldn't be read (why, by file).
    """

    findings: list[Finding] = field(default_factory=list)
    recordings: dict[str, list[int]] = field(default_factory=dict)
    batches: dict[str, list[int]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    files: int = 0
    parsed: int = 0

    def by_verdict(self) -> Counter[str]:
        """Count the findings by verdict."""
        return Counter(one.assessed.verdict for one in self.findings)

    def by_parameter(self) -> dict[str, Counter[str]]:
        """Count for each parameter of Chat its outcomes."""
        found: dict[str, Counter[str]] = {}
        for one in self.findings:
            for fate in one.assessed.fates:
                if fate.outcome not in ("option", "passed on"):
                    found.setdefault(fate.shown().name, Counter())[fate.outcome] += 1
        return dict(sorted(found.items()))


def need_libcst() -> None:
    """Raise MissingExtra where LibCST isn't installed."""
    try:
        import libcst  # noqa: F401
    except ImportError:
        raise MissingExtra("scanning needs LibCST: pip install 'chat-responses-adapter[kit]'") from None


def scan(
    paths: Sequence[Path],
    settings: Settings,
    *,
    exclude: Iterable[str] = (),
    jobs: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Scan files and folders. `jobs` processes (default: as many as cores); `advance` is told of each file that is done.

    Raises MissingExtra without LibCST. A file that can't be read or parsed is in the report, with the reason.
    """
    need_libcst()
    report = Report()
    files = list(sources.find_files(paths, exclude, lambda path, why: report.unread.update({path.as_posix(): why})))
    report.files = len(files)
    todo: list[Path] = []
    for path in files:
        try:
            raw = sources.read_bytes(path)
        except Unreadable as error:
            report.unread[path.as_posix()] = str(error)
            advance(1)
            continue
        if path.suffix.lower() in sources.RECORDINGS:
            lines = sources.recorded_lines(raw)
            if lines:
                kind = report.batches if sources.is_batch(path, raw) else report.recordings
                kind[path.as_posix()] = lines
            advance(1)
        elif sources.worth_parsing(raw):
            todo.append(path)
        else:
            advance(1)
    report.parsed = len(todo)
    work = partial(_scan_file, settings=_plain(settings))
    workers = min(jobs or os.cpu_count() or 1, max(1, len(todo) // 8))
    if workers == 1 or (jobs is None and len(todo) < _WORTH_PROCESSES):
        results: Iterable[Any] = map(work, todo)
        _gather(report, zip(todo, results, strict=True), advance)
        return report
    with ProcessPoolExecutor(workers) as pool:
        _gather(report, zip(todo, pool.map(work, todo, chunksize=4), strict=True), advance)
    return report


def _plain(settings: Settings) -> dict[str, Any]:
    """Return settings as values that another process can take."""
    return {
        name: value
        for name, value in settings.__dict__.items()
        if name not in ("flags", "observers", "memory", "memory_key")
    }


def _gather(report: Report, results: Iterable[tuple[Path, Any]], advance: Callable[[int], None]) -> None:
    for path, found in results:
        if isinstance(found, str):
            report.unread[path.as_posix()] = found
        else:
            report.findings += found
        advance(1)


def _failed(error: Exception) -> str:
    """Say what can't be read, without quoting it."""
    return (
        "not Python"
        if isinstance(error, (SyntaxError, ValueError))
        else f"the scan failed on it ({type(error).__name__})"
    )


_ASSESSORS: dict[str, Any] = {}


def _scan_file(path: Path, settings: dict[str, Any]) -> list[Finding] | str:
    """Scan one file: its findings, or why it can't be."""
    import libcst as cst
    from libcst.metadata import MetadataWrapper

    from .assess import Assessor
    from .sites import find_sites

    key = repr(settings)
    assessor = _ASSESSORS.get(key)
    if assessor is None:
        _ASSESSORS.clear()
        assessor = _ASSESSORS[key] = Assessor(Settings.model_construct(**settings))
    try:
        source = sources.read_source(path, sources.read_bytes(path))
        sources.check_depth(source.text)
    except Unreadable as error:
        return str(error)
    try:
        wrapper = MetadataWrapper(cst.parse_module(source.text), unsafe_skip_copy=True)
        sites = find_sites(wrapper)
    except cst.ParserSyntaxError as error:
        cell, line = source.place(error.raw_line)
        return f"syntax error at line {line}" + (f" of cell {cell}" if cell else "")
    except RecursionError:
        return "nested too deeply"
    except Exception as error:  # noqa: BLE001  # one file's fault, or ours, isn't the scan's end
        return _failed(error)
    module, in_test = module_name(path), sources.is_test(path)
    found = []
    for site in sites:
        cell, site.line = source.place(site.line)
        found.append(Finding(path.as_posix(), site, cell, module, assessor.assess(site, module), in_test))
    return found
