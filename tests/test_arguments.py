"""Words and numbers that a parameter cannot take are said by every function of the API, and never passed over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amodal
from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.arguments import FROM_ZERO, Within, require_word
from amodal.drawing.render import Style
from amodal.errors import UserError
from amodal.evaluation.score import score
from amodal.results import result_files
from amodal.results.result import Result

NOTHING = AnnotationSet(images=[ImageRecord(1, "a.png", 4, 5)], categories=[Category(1, "cup")], annotations=[])


def result() -> Result:
    masks = np.ones((1, 4, 5), bool)
    return Result(np.float32([[0, 0, 5, 4]]), np.int64([1]), np.float32([0.9]), (Category(1, "cup"),), masks, masks)


WRONG: dict[str, Callable[[Path], Any]] = {
    "masks": lambda _: amodal.evaluate([], NOTHING, masks="rough"),  # type: ignore[arg-type]
    "mode": lambda _: score(NOTHING, []).ap_occluded(mode="paper"),  # type: ignore[arg-type]
    "least_rate": lambda _: score(NOTHING, []).ap_occluded(least_rate=0.3),
    "segmentation": lambda path: result_files.read(path, NOTHING, segmentation="modal"),  # type: ignore[arg-type]
    "show": lambda _: Style(show="hidden"),  # type: ignore[arg-type]
    "scale": lambda _: Style(scale=0),
    "the image": lambda _: result().draw(np.zeros((4, 4, 3), np.uint8)),
    "--split": lambda path: amodal.synth(path / "scenes", 1, split="test"),  # type: ignore[arg-type]
    "--count": lambda path: amodal.synth(path / "scenes", 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_given_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^{name} "):
        WRONG[name](tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [-1, 2, float("nan"), "1", None, [0.5]])
def test_numbers_out_of_bounds(value: Any) -> None:
    with pytest.raises(UserError, match=r"x .* cannot be. Give 0 to 1"):
        Within(0, 1).check("x", value)
    Within(0, 1).check("x", np.float32(0.5))
    FROM_ZERO.check("x", 0)


def test_a_word_that_was_meant_is_named() -> None:
    require_word("show", "both", ("both", "visible"))
    with pytest.raises(UserError, match=r"show cannot be 'visibel'. Did you mean visible"):
        require_word("show", "visibel", ("both", "visible"))
