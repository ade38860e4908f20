"""Which detection found what, image by image: what is left of an evaluation when the masks are gone.

From records alone AP can be computed again on any resampling of the images, which is what confidence intervals need;
a whole data set's fit in a few bytes a detection.
"""

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.errors import UserError
from amodal.evaluation.matching.coco import IOU_THRESHOLDS
from amodal.evaluation.matching.greedy import candidates, match
from amodal.evaluation.matching.mask_kinds import MaskKind, MatchFilter
from amodal.results.detections import Detections

MOST = 100
"""Detections per image and category that COCO looks at."""
MOST_BYTES = 2**28
"""Of unpacked records in a report: those of COCO's own images take a tenth of it."""
_TYPES = {
    "category": np.int32,
    "image": np.int32,
    "score": np.float64,
    "matched": np.bool_,
    "ignored": np.bool_,
    "wanted": np.int32,
}


@dataclass(frozen=True)
class Records:
    """Matches of one kind and one column, detections by falling score within category.

    Attributes:
        category: Of each detection, its place among the sorted category ids, int32 (D,).
        image: Of each detection, its place among the sorted image ids, int32 (D,).
        score: float64 (D,).
        matched: Found an instance that counts, at each IoU of .50:.05:.95, bool (10, D).
        ignored: Found an ignored one, or does not count itself, bool (10, D).
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
            records = Records(**_arrays(base64.b85decode(text)))
            records.check()
        except Exception as error:  # a damaged archive may raise anything
            problem = f"its match records are damaged ({error or type(error).__name__})"
            raise UserError(problem, remedy="Evaluate again with --out") from error
        return records

    def check(self) -> None:
        """Raises ValueError where the arrays do not fit each other."""
        detections, thresholds = len(self.category), len(IOU_THRESHOLDS)
        categories, images = self.wanted.shape
        shapes = [self.category.shape, self.image.shape, self.score.shape, self.matched.shape, self.ignored.shape]
        if shapes != [(detections,)] * 3 + [(thresholds, detections)] * 2:
            raise ValueError(f"arrays of shapes {shapes}")
        for places, end in ((self.category, categories), (self.image, images)):
            if len(places) and not (places.min() >= 0 and places.max() < end):
                raise ValueError("a place that is not there")
        if (np.diff(self.category) < 0).any() or np.isnan(self.score).any() or (self.wanted < 0).any():
            raise ValueError("values that no evaluation gives")


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an archive that `to_text` made, of its types. Raises ValueError and more for any other."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ValueError("too large")
        for name, kind in _TYPES.items():
            array = _array(archive.read(f"{name}.npy"))
            packed = name in ("matched", "ignored")
            array = np.unpackbits(array, axis=0, count=len(IOU_THRESHOLDS)) if packed else array
            found[name] = array.astype(kind, casting="unsafe" if packed else "same_kind")
    return found


def _array(data: bytes) -> np.ndarray:
    """An array of NumPy's own format, whose header is believed on nothing that the data do not bear out."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("of another version")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")


def collect(
    truth: AnnotationSet,
    detections: Sequence[Detection],
    kind: MaskKind,
    match_filter: MatchFilter,
    columns: Sequence[str],
) -> list[Records]:
    """Matches every image greedily as COCO does.

    Unmatched detections are false positives, but for those whose own number is outside the column's range.

    Args:
        truth: The annotations.
        detections: All of them; the first MOST by score of an image and category take part.
        kind: What is compared; masks only.
        match_filter: Who counts.
        columns: Some of its ranges. Records of each come back.
    """
    found = Detections.of(detections)
    categories = np.array(sorted(c.id for c in truth.categories), dtype=np.int64)
    images = image_ids(truth)
    category, image = categories.searchsorted(found.category_ids), images.searchsorted(found.image_ids)
    order, rank = ranked(category, image, found.scores)
    place = np.full(len(found), -1)
    place[order] = np.arange(len(order))
    near = candidates(truth, found.take(order), kind)
    crowd = np.array([a.is_crowd for a in truth.annotations], dtype=bool)
    cells = (
        categories.searchsorted([a.category_id for a in truth.annotations]),
        images.searchsorted([a.image_id for a in truth.annotations]),
    )
    records: list[Records] = []
    for column in columns:
        low, high = match_filter.ranges[column]
        ignored = crowd | (match_filter.of_truth < low) | (match_filter.of_truth > high)
        wanted = np.zeros((len(categories), len(images)), np.int32)
        np.add.at(wanted, cells, ~ignored)
        matched, unasked = match(near, rank, ignored, crowd)
        if match_filter.of_detection is not None:
            own = match_filter.of_detection[order]
            unasked |= ~matched & ((own < low) | (own > high))
        cell = category[order].astype(np.int32), image[order].astype(np.int32)
        records.append(Records(*cell, found.scores[order], matched, unasked, wanted))
    return records


def joined(parts: Sequence[tuple[np.ndarray, Records]], images: np.ndarray) -> Records:
    """Records of a data set from those of its parts, in any order: what `collect` gives of the whole.

    Args:
        parts: Ids of a part's images, ascending int64 (I,), and its records; at least one part.
        images: Ids of all images, ascending.
    """
    wanted = np.zeros((len(parts[0][1].wanted), len(images)), np.int32)
    for ids, records in parts:
        wanted[:, images.searchsorted(ids)] = records.wanted
    return replace(in_order([placed(records, ids, images) for ids, records in parts]), wanted=wanted)


def image_ids(truth: AnnotationSet) -> np.ndarray:
    """All of a data set's, ascending, int64 (I,)."""
    return np.array(sorted(image.id for image in truth.images), dtype=np.int64)


def placed(records: Records, own: np.ndarray, images: np.ndarray) -> Records:
    """Records of a part whose images have the ids `own`, with the images' places among those of the whole."""
    return replace(records, image=images.searchsorted(own).astype(np.int32)[records.image])


def in_order(parts: Sequence[Records]) -> Records:
    """The detections of all parts in COCO's order; their `image` must tell the images of all apart, in order.

    An image lies in one part, whose order among its equals stands. `wanted` is the first part's.
    """
    category, image, score = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("category", "image", "score")
    )
    order = np.lexsort((image, -score, category))
    matched, ignored = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order] for name in ("matched", "ignored")
    )
    return Records(category[order], image[order], score[order], matched, ignored, parts[0].wanted)


def ranked(category: np.ndarray, image: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detections that COCO looks at, and the rank of each in its image and category.

    They are ordered by category, then by falling score; of equal scores the earlier image comes first, as in COCO.

    Args:
        category: Of each detection, its place among the categories, int (D,).
        image: Its place among the images, int (D,).
        scores: float (D,).

    Returns:
        Places of the detections, int64 (P,), and their ranks from 0, int64 (P,).
    """
    rank = _ranks(category * (image.max(initial=0) + 1) + image, scores)
    order = np.lexsort((rank, image, -scores, category))
    order = order[rank[order] < MOST]
    return order, rank[order]


def _ranks(cells: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each detection's place in its cell by falling score, the earlier of equals first, int64 (D,)."""
    order = np.lexsort((-scores, cells))
    ordered = cells[order]
    ranks = np.empty(len(cells), dtype=np.int64)
    ranks[order] = np.arange(len(cells)) - ordered.searchsorted(ordered, "left")
    return ranks
