"""Shards for one command alone, which takes them up again and leaves none: a row holds one packed answer."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import msgpack

from amodal.scale.shards import arrow

if TYPE_CHECKING:
    import pyarrow as pa


def packed(answers: Iterable[Any]) -> "pa.Table":
    """Answers, dataclasses or tuples of plain things, as a table."""
    pa = arrow()
    return pa.table({"answer": pa.array([msgpack.encode(answer) for answer in answers], pa.large_binary())})


def unpacked(table: "pa.Table", kind: Any) -> Iterator[Any]:
    """The answers, each of a kind."""
    decoder = msgpack.Decoder(kind)
    return (decoder.decode(answer.as_py()) for answer in table.column("answer"))
