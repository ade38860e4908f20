"""XML of labelling tools, read by the standard library with what makes XML dangerous refused: types and entities."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from amodal.errors import UserError
from amodal.files import read_text, require_file


def is_xml(path: Path) -> bool:
    """Whether a file begins as XML does. Raises UserError where it is missing."""
    with require_file(path).open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def read(path: Path) -> ElementTree.Element:
    """The root of an XML file in UTF-8. Raises UserError where it is missing, damaged, or declares a document type."""
    text = read_text(path)
    # Entities, which may grow without end or name other files, can only be declared inside a document type.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError("declares a document type, which annotations do not need", file=path, remedy="Export it again")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(
            f"not valid XML ({error})", file=path, remedy="The file may be cut short: download or export it again"
        ) from None


_UNHELD = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def text(value: Any) -> str:
    """A value as text that XML can hold: control characters and the like become question marks."""
    return _UNHELD.sub("?", str(value))
