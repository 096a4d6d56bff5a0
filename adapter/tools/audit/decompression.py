"""Read compressed logs in pieces of bounded size."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, Literal

from adapter.errors import MissingExtra

Compression = Literal["gzip", "zstd", "bz2", "xz"]

SUFFIXES = ("", ".gz", ".zst", ".bz2", ".xz")

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_INPUT_BYTES = 1 << 12  # compressed bytes per step, for libraries that don't bound their output

Read = Callable[[int], bytes]
"""Returns at most so many bytes, none at the end. Raises one of ERRORS if the file is damaged."""

ERRORS: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)


def detect_compression(head: bytes) -> Compression | None:
    """Return the compression of a file, by its first bytes."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def decompressor(raw: IO[bytes], compression: Compression) -> Read:
    """Return a reader for a compressed file. Raises MissingExtra if no package reads Zstandard."""
    match compression:
        case "gzip":
            return gzip.GzipFile(fileobj=raw).read1  # returns what is intact before it raises
        case "bz2":
            return bz2.BZ2File(raw).read1
        case "xz":
            return lzma.LZMAFile(raw).read1
        case "zstd":
            return _zstandard(raw)


def check_readable(compression: Compression | None) -> None:
    """Raise MissingExtra if no installed package reads such files."""
    if compression == "zstd":
        _zstandard_module()


def _zstandard(raw: IO[bytes]) -> Read:
    name, module = _zstandard_module()
    match name:
        case "compression.zstd":
            return _with_common_error(module.ZstdFile(raw).read1, module.ZstdError)
        case "zstandard":
            return _with_common_error(_FrameReader(raw, module).read, module.ZstdError)
        case _:
            stream = module.CompressedInputStream(module.PythonFile(raw, "r"), "zstd")
            return stream.read  # type: ignore[no-any-return]


def _zstandard_module() -> tuple[str, Any]:
    for name in ("compression.zstd", "zstandard", "pyarrow"):
        try:
            return name, importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtra(
        "logs in Zstandard (.zst) need Python 3.14, or zstandard, or pyarrow: pip install zstandard"
    )


def _with_common_error(read: Read, error: type[Exception]) -> Read:
    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except error:
            raise EOFError from None

    return guarded


class _FrameReader:
    """Read consecutive Zstandard frames; the package's reader doesn't notice a truncated file."""

    def __init__(self, raw: IO[bytes], module: Any) -> None:
        self._raw, self._module = raw, module
        self._frame: Any = None
        self._input = b""
        self._output = b""

    def read(self, size: int) -> bytes:
        while not self._output:
            self._input = self._input or self._raw.read(_INPUT_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise EOFError
                return b""
            if self._frame is None:
                self._frame = self._module.ZstdDecompressor().decompressobj()
            self._output = self._frame.decompress(self._input)
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
        given, self._output = self._output[:size], self._output[size:]
        return given
