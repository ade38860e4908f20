"""Shards for one command alone, which takes them up again and leaves none: a row holds one packed answer."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import msgpack

from amodal.arrow_files import arrow

if TYPE_CHECKING:
    import pyarrow as pa


def packed(answers: Iterable[Any]) -> "pa.Table":
    """Answers, dataclasses or tuples of plain things, arrays and fractions, as a table."""
    pa = arrow()
    encoder = msgpack.Encoder(enc_hook=_plain)
    return pa.table({"answer": pa.array([encoder.encode(answer) for answer in answers], pa.large_binary())})


def unpacked(table: "pa.Table", kind: Any) -> Iterator[Any]:
    """The answers in a table's first column, each of a kind."""
    decoder = msgpack.Decoder(kind, dec_hook=_made)
    return (decoder.decode(answer.as_py()) for answer in table.column(0))


def _plain(value: Any) -> Any:
    if value.dtype == object:
        return "object", value.shape, [str(one) for one in value.ravel()]
    return value.dtype.str, value.shape, value.tobytes()


def _made(kind: type, stated: Any) -> Any:
    """What `_plain` was given: an array, of numbers or of fractions."""
    dtype, shape, content = stated
    if dtype == "object":
        return np.array([Fraction(one) for one in content], dtype=object).reshape(shape)
    return np.frombuffer(content, dtype).reshape(shape)
