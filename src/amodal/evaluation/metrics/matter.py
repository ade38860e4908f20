"""Detections and instances of a data set without their masks: who overlaps whom, and AP of that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amodal.annotations import AnnotationSet
from amodal.evaluation.matching.greedy import Candidates, candidates, instances_found
from amodal.evaluation.matching.mask_kinds import AMODAL
from amodal.evaluation.matching.records import Records, image_ids, ranked
from amodal.evaluation.metrics.bootstrap import Resampling
from amodal.results.detections import Detections

FOUND, NEAR = 0.5, 0.1
"""IoU from which a detection has found an instance, and from which it is near one. TIDE's."""


@dataclass(frozen=True)
class Matter:
    """Detections and instances without their masks.

    Attributes:
        category: Of each detection, its place among the categories, int64 (D,); -1 for one that is removed.
        image: Its place among the images, int64 (D,).
        score: float64 (D,).
        near: Pairs of one image that overlap by NEAR, whatever their categories.
        of_instance: Category of each instance, int64 (G,).
        in_image: Image of each instance, int64 (G,).
        crowd: Instances that do not count and may be found more than once, bool (G,).
        asked: Instances that count, bool (G,).
        images: Ids of all images, ascending int64.
        num_categories: How many there are.
    """

    category: np.ndarray
    image: np.ndarray
    score: np.ndarray
    near: Candidates
    of_instance: np.ndarray
    in_image: np.ndarray
    crowd: np.ndarray
    asked: np.ndarray
    images: np.ndarray
    num_categories: int

    @staticmethod
    def of(truth: AnnotationSet, found: Detections) -> "Matter":
        """A data set, or some of its images."""
        categories = np.array(sorted(c.id for c in truth.categories), dtype=np.int64)
        images = image_ids(truth)
        crowd = np.array([a.is_crowd for a in truth.annotations], dtype=bool)
        return Matter(
            categories.searchsorted(found.category_ids),
            images.searchsorted(found.image_ids),
            found.scores,
            candidates(truth, found, AMODAL, least=NEAR, across_categories=True),
            categories.searchsorted(np.array([a.category_id for a in truth.annotations], dtype=np.int64)),
            images.searchsorted(np.array([a.image_id for a in truth.annotations], dtype=np.int64)),
            crowd,
            ~crowd,
            images,
            len(categories),
        )

    @staticmethod
    def joined(parts: "Sequence[Matter]", images: np.ndarray) -> "Matter":
        """A data set from parts of it, in any order; each image lies in one.

        Args:
            parts: At least one.
            images: Ids of all images, ascending.
        """
        places = [images.searchsorted(part.images) for part in parts]
        before = np.cumsum([(0, 0), *((len(part.category), len(part.crowd)) for part in parts)], axis=0).tolist()
        near = Candidates(
            np.concatenate([part.near.detection + first for part, (first, _) in zip(parts, before, strict=False)]),
            np.concatenate([part.near.instance + first for part, (_, first) in zip(parts, before, strict=False)]),
            np.concatenate([part.near.overlap for part in parts]),
        )
        names = ("category", "score", "of_instance", "crowd", "asked")
        together = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return Matter(
            image=np.concatenate([own[part.image] for own, part in zip(places, parts, strict=True)]),
            in_image=np.concatenate([own[part.in_image] for own, part in zip(places, parts, strict=True)]),
            near=near,
            images=images,
            num_categories=parts[0].num_categories,
            **together,
        )

    def without(self, detections: np.ndarray) -> "Matter":
        """These detections, bool (D,), removed."""
        return replace(self, category=np.where(detections, -1, self.category))

    def matched(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of the detections that COCO looks at, in its order, (P,), and the instance of each, (10, P)."""
        kept = np.flatnonzero(self.category >= 0)
        order, rank = ranked(self.category[kept], self.image[kept], self.score[kept])
        places, near, position = kept[order], self.near, np.full(len(self.category), -1)
        position[places] = np.arange(len(places))
        fits = (self.category[near.detection] == self.of_instance[near.instance]) & (near.overlap >= FOUND)
        fits &= position[near.detection] >= 0
        pairs = Candidates(position[near.detection[fits]], near.instance[fits], near.overlap[fits])
        return places, instances_found(pairs, rank, self.crowd, self.crowd)

    def records(self) -> Records:
        """Matched as COCO does."""
        places, instance = self.matched()
        is_found, of_crowd = instance >= 0, np.append(self.crowd, False)[instance]
        cell = self.category[places].astype(np.int32), self.image[places].astype(np.int32)
        wanted = np.zeros((self.num_categories, len(self.images)), np.int32)
        np.add.at(wanted, (self.of_instance[self.asked], self.in_image[self.asked]), 1)
        return Records(*cell, self.score[places], is_found & ~of_crowd, is_found & of_crowd, wanted)

    def average_precision(self) -> float | None:
        """AP in [0, 1]; None where no instance counts."""
        per_category = Resampling(self.records()).average_precisions(np.ones(len(self.images), np.int64))
        measured = per_category[~np.isnan(per_category)]
        return float(measured.mean()) if measured.size else None
