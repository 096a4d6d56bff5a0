"""Write the tables of all documents again: `python -m tests.docs.tables`."""

from . import names_in, pages, written

for page in pages():
    text = page.read_text(encoding="utf-8")
    if names_in(text) and (made := written(text)) != text:
        page.write_text(made, encoding="utf-8")
        print(page.name)
