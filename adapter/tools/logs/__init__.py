"""Read chat requests from the logs of many tools: formats as data, and their reader.

`formats.toml` is the table of the known formats; `RowFormats.with_file` adds formats that users
describe in the same terms. `adapter.tools.logs.rows` reads rows.
"""

from __future__ import annotations
