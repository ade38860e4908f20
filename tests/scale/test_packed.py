"""Answers that are packed into tables: unpacked in memory, or left on disk, they are what they were."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from amodal.errors import UserError
from amodal.scale.packed import mapped, packed, unpacked

pytest.importorskip("pyarrow")


@dataclass(frozen=True)
class Answer:
    name: str
    numbers: dict[str, np.ndarray]
    content: bytes = b""


def plain(answers: Iterable[Answer]) -> list[tuple]:
    return [
        (one.name, one.content, [(name, held.dtype, held.shape, held.tolist()) for name, held in one.numbers.items()])
        for one in answers
    ]


ANSWERS = [
    Answer("a", {"floats": np.array([0.1, np.inf]), "flags": np.array([[True, False], [False, True], [True, True]])}),
    Answer("", {"none": np.zeros((0, 3), np.int32)}, b"\0\1"),
    Answer("thirds", {"exact": np.array([Fraction(1, 3), Fraction(2, 7)], dtype=object)}),
]


def test_answers_come_back_from_memory_and_from_disk(tmp_path: Path) -> None:
    tables = [packed(ANSWERS[:2]), packed([]), packed(ANSWERS[2:])]
    assert plain(one for table in tables for one in unpacked(table, Answer)) == plain(ANSWERS)
    found = mapped(iter(tables), Answer, tmp_path)
    assert plain(found) == plain(ANSWERS)
    assert not found[0].numbers["floats"].flags.owndata
    assert not list(tmp_path.iterdir())
    assert mapped([packed([])], Answer, tmp_path) == []


def test_a_disk_that_is_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amodal.scale.packed.TemporaryFile", full)
    with pytest.raises(UserError, match=r"cannot be written .No space left"):
        mapped([packed(ANSWERS)], Answer, tmp_path)
