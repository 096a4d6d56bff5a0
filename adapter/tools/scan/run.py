"""Scan many files, in several processes if there are enough of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter._routing.call_site import call_site_name
from adapter._settings.settings import Settings
from adapter._util.regular_files import Unreadable
from adapter.errors import MissingExtra

from . import sources

if TYPE_CHECKING:
    from .assessment import Assessment
    from .finder import Site

_ROUNDS = 5  # levels of wrappers in different files
_WORTH_PROCESSES = 40  # with fewer files, starting processes takes longer than it saves


@dataclass(frozen=True, slots=True)
class Finding:
    """A call site with its file (as given), notebook cell, module and assessment."""

    file: str
    site: Site
    cell: int | None
    module: str
    assessment: Assessment
    in_test: bool

    @property
    def call_site(self) -> str:
        """Return the site as rules match it: `module:function`.

        See docs/guides/change-code.md#call-sites.
        """
        return call_site_name(self.module, self.site.owner)


@dataclass(slots=True)
class Report:
    """The results of a scan.

    `recordings` and `batches` have the line numbers with the endpoint, by file; `unread` has the
    reasons why files couldn't be read, by file.
    """

    findings: list[Finding] = field(default_factory=list)
    recordings: dict[str, list[int]] = field(default_factory=dict)
    batches: dict[str, list[int]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    files: int = 0
    parsed: int = 0

    def by_verdict(self) -> Counter[str]:
        """Count the findings by verdict."""
        return Counter(one.assessment.verdict for one in self.findings)

    def by_parameter(self) -> dict[str, Counter[str]]:
        """Count the outcomes of each parameter of Chat."""
        found: dict[str, Counter[str]] = {}
        for one in self.findings:
            for item in one.assessment.parameters:
                if item.outcome not in ("option", "passed on"):
                    found.setdefault(item.redacted().name, Counter())[item.outcome] += 1
        return dict(sorted(found.items()))


def require_libcst() -> None:
    """Raise MissingExtra if LibCST isn't installed."""
    try:
        import libcst  # noqa: F401
    except ImportError:
        raise MissingExtra("scanning needs LibCST (extra `tools`)") from None


def scan(
    paths: Sequence[Path],
    settings: Settings,
    *,
    exclude: Iterable[str] = (),
    jobs: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Scan files and folders, in `jobs` processes (default: the number of cores).

    `advance` is called with the number of files that have been done since its last call. A file
    that can't be read or parsed is in the report, with the reason.

    Raises:
        MissingExtra: LibCST isn't installed.
    """
    require_libcst()
    report = Report()
    files = list(
        sources.find_files(
            paths, exclude, lambda path, why: report.unread.update({path.as_posix(): why})
        )
    )
    report.files = len(files)
    todo: list[int] = []
    others: dict[int, list[tuple[int, str, str]]] = {}
    for k, path in enumerate(files):
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
            todo.append(k)
        else:
            others[k] = sources.imports_of(raw)
            advance(1)
    report.parsed = len(todo)
    workers = min(jobs or os.cpu_count() or 1, max(1, len(todo) // 8))
    given = [path.as_posix() for path in files], _picklable_settings(settings)
    if workers == 1 or (jobs is None and len(todo) < _WORTH_PROCESSES):
        worker = Worker(*given)
        _scan_in_rounds(report, files, todo, others, lambda tasks: map(worker, tasks), advance)
    else:
        with ProcessPoolExecutor(workers, initializer=_start, initargs=given) as pool:
            _scan_in_rounds(
                report,
                files,
                todo,
                others,
                lambda tasks: pool.map(_work, tasks, chunksize=4),
                advance,
            )
    return report


def _scan_in_rounds(  # noqa: PLR0917
    report: Report,
    files: Sequence[Path],
    todo: list[int],
    unparsed_imports: Mapping[int, list[tuple[int, str, str]]],
    work: Callable[[list[Task]], Iterable[FileResult]],
    advance: Callable[[int], None],
) -> None:
    """Scan each file by itself, then rescan files that import newly found exports, in rounds."""
    from .project import ModuleIndex

    by_name = ModuleIndex([path.absolute().as_posix() for path in files])
    results: dict[int, FileResult] = {}
    names: dict[int, frozenset[str]] = {}
    unparsed = frozenset(unparsed_imports)
    for round_ in range(_ROUNDS):
        new: dict[int, frozenset[str]] = {}
        for k, scanned in zip(todo, work([(k, names) for k in todo]), strict=True):
            if k not in unparsed or not scanned.why:
                results[k] = scanned
            fresh = scanned.exports - names.get(k, frozenset())
            if fresh:
                new[k] = fresh
            if not round_:
                advance(1)
        names = {k: names.get(k, frozenset()) | new.get(k, frozenset()) for k in {**names, **new}}
        imports = (
            {k: by_name.imports(k, written) for k, written in unparsed_imports.items()}
            if new
            else {}
        )
        imports |= {k: one.imports for k, one in results.items()}
        todo = sorted(k for k, found in imports.items() if _is_affected(found, new))
        if not todo:
            break
    for k in sorted(results):
        if results[k].why:
            report.unread[files[k].as_posix()] = results[k].why
        report.findings += results[k].findings


def _is_affected(imports: Iterable[tuple[int, str]], new: Mapping[int, frozenset[str]]) -> bool:
    return any(k in new and (not name or name.partition(".")[0] in new[k]) for k, name in imports)


def _picklable_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that can be pickled, by name."""
    return {
        name: value
        for name, value in settings.__dict__.items()
        if name not in ("flags", "observers", "memory", "memory_key")
    }


def _failure_text(error: Exception) -> str:
    """Return a text on an error without its message, which may quote the file."""
    return (
        "not Python"
        if isinstance(error, (SyntaxError, ValueError))
        else f"the scan failed on it ({type(error).__name__})"
    )


Task = tuple[int, Mapping[int, frozenset[str]]]
"""A file's number, and the exports of files that are known so far."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result for one file: its findings, or why it can't be read.

    `exports` are names that other files must follow; `imports` are (file, name) from the project.
    """

    findings: list[Finding] = field(default_factory=list)
    why: str = ""
    exports: frozenset[str] = frozenset()
    imports: frozenset[tuple[int, str]] = frozenset()


class Worker:
    """Scan files of one project, one after another."""

    def __init__(self, paths: list[str], settings: dict[str, Any]) -> None:
        from .assessment import Assessor
        from .project import ModuleIndex, Project

        self._assessor = Assessor(Settings.model_construct(**settings))
        self._project = Project(
            ModuleIndex([Path(path).absolute().as_posix() for path in paths]), {}
        )
        self._paths = paths

    def __call__(self, task: Task) -> FileResult:
        """Scan one file."""
        import libcst as cst

        from .project import Project, parse_file

        file, names = task
        if names != self._project.exported_names or self._project.is_full():
            self._project = Project(self._project.files, names)
        path = Path(self._paths[file])
        source = sources.Source("")
        try:
            wrapper, source = parse_file(path)
            scanned = self._project.add(file, wrapper, source)
            sites = scanned.find_sites()
            exports = scanned.exports()
        except Unreadable as error:
            return FileResult(why=str(error))
        except cst.ParserSyntaxError as error:
            cell, line = sources.read_source(path, sources.read_bytes(path)).place(error.raw_line)
            return FileResult(
                why=f"syntax error at line {line}" + (f" of cell {cell}" if cell else "")
            )
        except RecursionError:
            return FileResult(why="nested too deeply")
        except Exception as error:  # noqa: BLE001  # one file, or a bug, must not stop the scan
            return FileResult(why=_failure_text(error))
        module, in_test = sources.module_of(path), sources.is_test(path)
        found = []
        for site in sites:
            cell, site.line = source.place(site.line)
            assessed = self._assessor.assess(site, module)
            found.append(Finding(path.as_posix(), site, cell, module, assessed, in_test))
        return FileResult(found, "", exports, frozenset(scanned.imports))


_WORKER: list[Worker] = []  # of this process


def _start(paths: list[str], settings: dict[str, Any]) -> None:
    _WORKER[:] = [Worker(paths, settings)]


def _work(task: Task) -> FileResult:
    return _WORKER[0](task)
