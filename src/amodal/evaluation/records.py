"""Which detection found what, image by image: what is left of an evaluation when the masks are gone.

From records alone AP can be computed again on any resampling of the images, which is what confidence intervals need;
a whole data set's fit in a few bytes a detection.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.errors import UserError
from amodal.evaluation.coco import IOU_THRESHOLDS
from amodal.evaluation.detections import Detections
from amodal.evaluation.matching import candidates, match
from amodal.evaluation.views import Grading, View

MOST = 100
"""Detections per image and category that COCO looks at."""


@dataclass(frozen=True)
class Records:
    """Matches of one view and one column, detections by falling score within category.

    Attributes:
        category: Of each detection, its place among the sorted category ids, int32 (D,).
        image: Of each detection, its place among the sorted image ids, int32 (D,).
        score: float64 (D,).
        matched: Found an instance that counts, at each IoU of .50:.05:.95, bool (10, D).
        ignored: Found an ignored one, bool (10, D).
        wanted: Instances that count, int32 (categories, images).
    """

    category: np.ndarray
    image: np.ndarray
    score: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    wanted: np.ndarray

    def of_categories(self, first: int, end: int) -> "Records":
        """Those of the categories at the places first to end - 1."""
        part = slice(*self.category.searchsorted([first, end]).tolist())
        return Records(
            self.category[part] - np.int32(first),
            self.image[part],
            self.score[part],
            self.matched[:, part],
            self.ignored[:, part],
            self.wanted[first:end],
        )

    def to_text(self) -> str:
        """As text for a JSON file."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            category=self.category,
            image=self.image,
            score=self.score,
            matched=np.packbits(self.matched, axis=0),
            ignored=np.packbits(self.ignored, axis=0),
            wanted=self.wanted,
        )
        return base64.b85encode(buffer.getvalue()).decode("ascii")

    @staticmethod
    def from_text(text: str) -> "Records":
        """What `to_text` gave. Raises UserError for a damaged text."""
        try:
            with np.load(io.BytesIO(base64.b85decode(text)), allow_pickle=False) as file:
                arrays = dict(file)
            count = len(IOU_THRESHOLDS)
            for name in ("matched", "ignored"):
                arrays[name] = np.unpackbits(arrays[name], axis=0, count=count).astype(bool)
            return Records(**arrays)
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise UserError(f"its match records are damaged ({error})", remedy="Evaluate again with --out") from error


def collect(
    truth: AnnotationSet, detections: Sequence[Detection], view: View, grading: Grading, columns: Sequence[str]
) -> list[Records]:
    """Matches every image greedily as COCO does; unmatched detections are false positives whatever their size.

    Args:
        truth: The annotations.
        detections: All of them; the first MOST by score of an image and category take part.
        view: What is compared; masks only.
        grading: Who counts.
        columns: Some of its ranges. Records of each come back.
    """
    found = Detections.of(detections)
    categories = np.array(sorted(c.id for c in truth.categories), dtype=np.int64)
    images = np.array(sorted(image.id for image in truth.images), dtype=np.int64)
    category, image = categories.searchsorted(found.category_ids), images.searchsorted(found.image_ids)
    rank = _ranks(category * len(images) + image, found.scores)
    # By category, then falling score; of equal scores the earlier image first, as in COCO.
    order = np.lexsort((rank, image, -found.scores, category))
    order = order[rank[order] < MOST]
    place = np.full(len(found), -1)
    place[order] = np.arange(len(order))
    near = candidates(truth, found.take(order), view)
    crowd = np.array([a.is_crowd for a in truth.annotations], dtype=bool)
    cells = (
        categories.searchsorted([a.category_id for a in truth.annotations]),
        images.searchsorted([a.image_id for a in truth.annotations]),
    )
    records: list[Records] = []
    for column in columns:
        low, high = grading.ranges[column]
        ignored = crowd | (grading.of_truth < low) | (grading.of_truth > high)
        wanted = np.zeros((len(categories), len(images)), np.int32)
        np.add.at(wanted, cells, ~ignored)
        matched, unasked = match(near, rank[order], ignored, crowd)
        cell = category[order].astype(np.int32), image[order].astype(np.int32)
        records.append(Records(*cell, found.scores[order], matched, unasked, wanted))
    return records


def _ranks(cells: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each detection's place in its cell by falling score, the earlier of equals first, int64 (D,)."""
    order = np.lexsort((-scores, cells))
    ordered = cells[order]
    ranks = np.empty(len(cells), dtype=np.int64)
    ranks[order] = np.arange(len(cells)) - ordered.searchsorted(ordered, "left")
    return ranks
