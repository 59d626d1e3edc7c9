"""OpenDocument spreadsheets for tests, as Python writers make them: values, and no text of what a person sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.books import zip_parts

_NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text", "style")
)


def save_document(path: Path, rows: Iterable[Sequence[object]], *, after: str = "") -> Path:
    """A spreadsheet of one sheet. `after`: more rows, as XML."""
    body = "".join(f"<table:table-row>{''.join(map(_cell, row))}</table:table-row>" for row in rows)
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_NAMES}><office:body><office:spreadsheet>'
        f'<table:table table:name="L">{body}{after}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    return zip_parts(path, {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content})


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
    return f'<table:table-cell office:value-type="string"><text:p>{escape(str(value))}</text:p></table:table-cell>'
