"""Annotation files of hundreds of megabytes: read and written one record at a time.

The text is kept once and records are decoded from it some at a time when asked for, so memory stays near the file's
own size and every record goes through a C decoder, which is faster than an event parser.
"""

import gc
import json
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, AnyStr, BinaryIO, NamedTuple

import msgspec

from amodal.errors import UserError
from amodal.files import not_json, read_json_text, replacing, require_file

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_BETWEEN = {str: re.compile(r"}\s*,\s*(?={)"), bytes: re.compile(rb"}\s*,\s*(?={)")}
CHARACTERS_AT_ONCE = 1 << 18
"""As many objects of an array are decoded together as this holds."""
BYTES_AT_ONCE = 1 << 20
"""As much is handed over together for writing."""


def cut(text: AnyStr, start: int, stop: int) -> re.Match[AnyStr] | None:
    """The last place where one object may end and the next begin: a brace, a comma, and up to the next brace."""
    brace, between = ("}", _BETWEEN[str]) if isinstance(text, str) else (b"}", _BETWEEN[bytes])
    end = stop
    while (end := text.rfind(brace, start, end)) >= 0:  # type: ignore[arg-type]
        if match := between.match(text, end):  # type: ignore[arg-type]
            return match  # type: ignore[return-value]
    return None


@contextmanager
def gc_paused() -> Iterator[None]:
    """No looking for cycles among millions of new objects that have none: half of the time of decoding JSON."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class SmallFile(NamedTuple):
    """A whole JSON object of a folder of many: labelme's, or a single record of COCOA's."""

    path: Path
    members: dict[str, Any]


def read_small(path: Path) -> SmallFile:
    """A small file, without its text and without the picture that labelme puts in. Raises UserError."""
    return small(JsonDocument(path))


def small(document: "JsonDocument") -> SmallFile:
    """A document as a small file, without the picture that labelme puts in."""
    document.members.pop("imageData", None)
    return SmallFile(document.path, document.members)


class JsonDocument:
    """A JSON object whose member `annotations`, if it has one, is decoded record by record.

    `members` holds the others. Those that follow the annotations, where images and categories came before, are there
    once these have been walked: that spares a walk for them alone.

    Args:
        path: A JSON file.
        content: What is in it, if that has been read.

    Raises:
        UserError: The file is missing, or no JSON object. Damage inside `annotations` shows when walking it.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = require_file(path) if content is None else path
        self.members: dict[str, Any] = {}
        self._array: int | None = None
        self._is_whole = True
        self._text = read_json_text(path, content)
        self._read_members()

    @property
    def has_annotations(self) -> bool:
        """Whether there is a member `annotations`."""
        return self._array is not None

    def annotations(self, form: Any = Any) -> Iterator[Any]:
        """The records of `annotations`, each decoded when asked for. May be walked again.

        Raises:
            UserError: The file is damaged.
            msgspec.ValidationError: A record is not of the type `form`.
        """
        if self._array is None:
            return
        end = self._array + 1
        for records, end in self._elements(self._array, form):  # noqa: B007 - the last position is what is wanted
            yield from records
        if not self._is_whole:
            self._is_whole = True
            self._read_pairs(self._next(self._expect("]", end)))

    def _read_members(self) -> None:
        at = self._skip(0)
        if self._text[at : at + 1] != "{":
            raise UserError(
                "no JSON object, so no annotation file",
                file=self.path,
                remedy="A list of results is read by `evaluate`",
            )
        self._read_pairs(self._skip(at + 1))

    def _read_pairs(self, at: int) -> None:
        """Keys and values from `at` to the object's end, or to annotations that may be left for later."""
        while self._text[at : at + 1] != "}":
            key, at = self._decode(at)
            if not isinstance(key, str):
                raise self._broken(at, "expected a key")
            at = self._skip(self._expect(":", at))
            if key == "annotations" and self._text[at : at + 1] == "[" and self._array is None:
                self._array = at
                if "images" in self.members and "categories" in self.members:
                    self._is_whole = False
                    return
                at = self._end_of_array(at)
            else:
                self.members[key], at = self._decode(at)
            at = self._next(at)
        if (after := self._skip(at + 1)) < len(self._text):
            raise self._broken(after, "something follows the object, as where two files were joined")

    def _next(self, at: int) -> int:
        """From the end of a value to the next key, or to the object's end."""
        at = self._skip(at)
        return at if self._text[at : at + 1] == "}" else self._skip(self._expect(",", at))

    def _elements(self, at: int, form: Any = Any) -> Iterator[tuple[list[Any], int]]:
        """The elements of the array that opens at `at`, some at a time, each time with the position after them."""
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "]":
            return
        at = yield from self._together(at, msgspec.json.Decoder(list[form]))
        while True:
            value, at = self._decode(at)
            yield [value if form is Any else msgspec.convert(value, form)], at
            at = self._skip(at)
            if self._text[at : at + 1] == "]":
                return
            at = self._skip(self._expect(",", at))

    def _together(
        self, at: int, decoder: msgspec.json.Decoder[list[Any]]
    ) -> Generator[tuple[list[Any], int], None, int]:
        """Many elements at a time, as long as that can be done; then where the next one begins.

        A cut between two objects of an inner list leaves what no parser takes; damage does too, and is told exactly
        by whoever reads on from there, one by one.
        """
        while between := cut(self._text, at, at + CHARACTERS_AT_ONCE):
            try:
                values = decoder.decode(f"[{self._text[at : between.start() + 1]}]")
            except (msgspec.DecodeError, RecursionError):
                return at
            yield values, between.start() + 1
            at = between.end()
        return at

    def _end_of_array(self, at: int) -> int:
        end = at + 1
        for _, end in self._elements(at):  # noqa: B007 - the last position is what is wanted
            pass
        return self._expect("]", end)

    def _decode(self, at: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self._broken(error.pos, error.msg) from None
        except RecursionError:
            raise self._broken(at, "nested too deeply") from None
        except ValueError:
            raise self._broken(at, "a number has thousands of digits") from None

    def _expect(self, character: str, at: int) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] != character:
            raise self._broken(at, f"expected '{character}'")
        return at + 1

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _broken(self, at: int, reason: str) -> UserError:
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        return not_json(f"at line {line}, column {column} ({reason})", file=self.path)


def write(path: Path, members: dict[str, Any], annotations: Iterable[Any]) -> None:
    """Writes a JSON object: `members`, then `annotations` one record a line. Whole or not at all."""
    with gc_paused(), replacing(path) as temporary, temporary.open("wb", BYTES_AT_ONCE) as file:
        file.write(b"{")
        for key, value in members.items():
            file.write(encoded(key) + b":" + encoded(value) + b",\n")
        file.write(b'"annotations":')
        write_array(file, annotations)
        file.write(b"}\n")


def write_array(file: BinaryIO, records: Iterable[Any]) -> int:
    """Writes a JSON array, one record a line; gives their number."""
    count = 0
    for count, record in enumerate(records, start=1):
        file.write((b",\n" if count > 1 else b"[\n") + encoded(record))
    file.write(b"\n]" if count else b"[]")
    return count


_ENCODER = msgspec.json.Encoder()


def encoded(value: Any) -> bytes:
    """A JSON value as text in UTF-8, in a fraction of the time that Python's own takes.

    What that cannot hold, Python's own writes: NaN, which would become null, whole numbers of more than 64 bits, and
    halves of characters.
    """
    try:
        text = _ENCODER.encode(value)
    except (OverflowError, UnicodeEncodeError, TypeError):  # of NumPy's floats, which are Python's too
        return json.dumps(value).encode()
    return json.dumps(value).encode() if b"null" in text else text
