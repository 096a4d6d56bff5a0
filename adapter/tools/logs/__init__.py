"""How tools write chat requests into logs: shapes of rows as data, and what reads them.

`formats.toml` is the table of the shapes that are known; a file of one's own is read in the same
terms (`RowFormats.with_file`). `adapter.tools.logs.rows` reads rows by them.
"""

from __future__ import annotations
