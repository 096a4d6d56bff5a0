"""Compressed logs, by their first bytes: read piece by piece, each piece bounded, whatever it unpacks to."""

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
_FED = 1 << 12  # bytes that are unpacked at once where what comes out can't be bounded

Read = Callable[[int], bytes]
"""Give at most so many bytes, and none at the end. Raises one of FAULTS for a file that is damaged."""

FAULTS: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)


def compression_of(head: bytes) -> Compression | None:
    """Tell how a file is compressed, by its first bytes."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def unpacked(raw: IO[bytes], how: Compression) -> Read:
    """Return what reads a compressed file. Raises MissingExtra where nothing here reads Zstandard."""
    match how:
        case "gzip":
            return gzip.GzipFile(fileobj=raw).read1  # gives what there is before it finds fault
        case "bz2":
            return bz2.BZ2File(raw).read1
        case "xz":
            return lzma.LZMAFile(raw).read1
        case "zstd":
            return _zstandard(raw)


def check(how: Compression | None) -> None:
    """Raise MissingExtra where nothing here reads such a file."""
    if how == "zstd":
        _reader_of_zstandard()


def _zstandard(raw: IO[bytes]) -> Read:
    name, module = _reader_of_zstandard()
    match name:
        case "compression.zstd":
            return _faulty(module.ZstdFile(raw).read1, module.ZstdError)
        case "zstandard":
            return _faulty(_Frames(raw, module).read, module.ZstdError)
        case _:
            return module.CompressedInputStream(module.PythonFile(raw, "r"), "zstd").read  # type: ignore[no-any-return]


def _reader_of_zstandard() -> tuple[str, Any]:
    for name in ("compression.zstd", "zstandard", "pyarrow"):
        try:
            return name, importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtra("logs in Zstandard (.zst) need Python 3.14, or zstandard, or pyarrow: pip install zstandard")


def _faulty(read: Read, error: type[Exception]) -> Read:
    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except error:
            raise EOFError from None

    return guarded


class _Frames:
    """Frames of Zstandard, one behind the other; the package's own reader takes a file cut short for a whole one."""

    def __init__(self, raw: IO[bytes], module: Any) -> None:
        self._raw, self._module = raw, module
        self._frame: Any = None
        self._fed = b""
        self._left = b""

    def read(self, size: int) -> bytes:
        while not self._left:
            self._fed = self._fed or self._raw.read(_FED)
            if not self._fed:
                if self._frame is not None:
                    raise EOFError
                return b""
            if self._frame is None:
                self._frame = self._module.ZstdDecompressor().decompressobj()
            self._left = self._frame.decompress(self._fed)
            self._fed = b""
            if self._frame.eof:
                self._fed, self._frame = self._frame.unused_data, None
        given, self._left = self._left[:size], self._left[size:]
        return given
