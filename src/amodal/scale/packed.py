"""Shards for one command alone, which takes them up again and leaves none: a row holds one packed answer."""

import mmap
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import msgpack

from amodal.arrow_files import arrow
from amodal.files import naming_failures

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = 1
"""The code by which msgpack tells an array's bytes, which are left where they lie, from others."""


def packed(answers: Iterable[Any]) -> "pa.Table":
    """Answers, dataclasses or tuples of plain things, arrays and fractions, as a table."""
    pa = arrow()
    encoder = msgpack.Encoder(enc_hook=_plain)
    return pa.table({"answer": pa.array([encoder.encode(answer) for answer in answers], pa.large_binary())})


def unpacked(table: "pa.Table", kind: Any) -> Iterator[Any]:
    """The answers in a table's first column, each of a kind."""
    decoder = _decoder(kind)
    return (decoder.decode(answer.as_py()) for answer in table.column(0))


def mapped(tables: Iterable["pa.Table"], kind: Any, folder: Path) -> list[Any]:
    """The answers in the first columns of many tables, each of a kind; their arrays stay on disk.

    They are views of a file in the folder that has no name any more: its pages are in memory while they are looked at
    and where there is room, and it is gone with the answers.
    """
    decoder, ends = _decoder(kind), [0]
    with naming_failures(folder), TemporaryFile(dir=folder) as file:
        for table in tables:
            for answer in table.column(0):
                file.write(answer.as_buffer())
                ends.append(file.tell())
        file.flush()
        pages = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if ends[-1] else memoryview(b"")
    return [decoder.decode(pages[start:end]) for start, end in pairwise(ends)]


def _decoder(kind: Any) -> msgpack.Decoder[Any]:
    return msgpack.Decoder(kind, dec_hook=_made, ext_hook=lambda _, content: content)


def _plain(value: Any) -> Any:
    if value.dtype == object:
        return "object", value.shape, [str(one) for one in value.ravel()]
    return value.dtype.str, value.shape, msgpack.Ext(NUMBERS, value.tobytes())


def _made(kind: type, stated: Any) -> Any:
    """What `_plain` was given: an array, of numbers or of fractions."""
    dtype, shape, content = stated
    if dtype == "object":
        return np.array([Fraction(one) for one in content], dtype=object).reshape(shape)
    return np.frombuffer(content, dtype).reshape(shape)
