"""Write the pictures."""

from . import FOLDER, drawn

FOLDER.mkdir(exist_ok=True)
for path, text in drawn().items():
    path.write_text(text, encoding="utf-8")
