"""Every metric a second time: slow, pixel by pixel, written from its definition alone, on random scenes.

Nothing of the package's arithmetic is used here: masks are bool arrays, assignments are tried one by one, precision
and recall are counted in loops.
"""

from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.evaluation.analysis import analyse
from amodal.evaluation.matching.mask_kinds import AMODAL
from amodal.evaluation.matching.records import Records, collect
from amodal.evaluation.metrics import class_agnostic, occlusion
from amodal.evaluation.metrics.bootstrap import Resampling
from amodal.evaluation.metrics.calibration import Bins
from amodal.evaluation.score import score

SIZE = (24, 30)
SEEDS = range(5)
LEVELS = [0.5 + 0.05 * step for step in range(10)]


@dataclass
class Thing:
    """An object, true or predicted."""

    category: int
    amodal: np.ndarray
    visible: np.ndarray
    score: float = 1.0
    crowd: bool = False
    stuff: bool = False

    @property
    def hidden(self) -> np.ndarray:
        return self.amodal & ~self.visible

    @property
    def rate(self) -> float:
        return 1 - self.visible.sum() / self.amodal.sum()


@dataclass
class Scene:
    truths: list[Thing]
    found: list[Thing]


def scenes(seed: int) -> list[Scene]:
    """Ragged rectangles stacked on each other, and detections of most of them, of nothing, and twice."""
    rng = np.random.default_rng(seed)

    def ragged(top: int, left: int, height: int, width: int) -> np.ndarray:
        shape = np.zeros(SIZE, dtype=bool)
        shape[top : top + height, left : left + width] = True
        return shape & (rng.random(SIZE) > 0.04)

    made: list[Scene] = []
    for _ in range(5):
        boxes = [tuple(int(n) for n in rng.integers([1, 1, 6, 6], [10, 14, 13, 15])) for _ in range(rng.integers(0, 5))]
        covered, truths, found = np.zeros(SIZE, dtype=bool), [], []
        for box in boxes:  # nearest first
            shape = ragged(*box)
            if (shape & ~covered).any():
                flags = {"crowd": bool(rng.random() < 0.1), "stuff": bool(rng.random() < 0.3)}
                truths.append(Thing(int(rng.choice([2, 5])), shape, shape & ~covered, **flags))
            covered |= shape
        for truth, box in zip(truths, boxes, strict=False):
            for _ in range(rng.integers(0, 3)):
                moved = ragged(*(int(n + rng.integers(-1, 2)) for n in box))
                seen = moved & (truth.visible | (rng.random(SIZE) < 0.3))
                category = truth.category if rng.random() < 0.8 else 7 - truth.category
                found.append(Thing(category, moved, seen, float(rng.random())))
        made.append(Scene(truths, found))
    return made


def as_data(made: list[Scene]) -> tuple[AnnotationSet, list[Detection]]:
    def encoded(thing: Thing) -> tuple[rle.Rle, rle.Rle]:
        amodal, visible = rle.encode(np.stack([thing.amodal, thing.visible]))
        return amodal, visible

    images = [ImageRecord(place, "", *SIZE) for place in range(len(made))]
    annotations = [
        Annotation(0, place, t.category, *encoded(t), is_crowd=t.crowd, is_stuff=t.stuff)
        for place, scene in enumerate(made)
        for t in scene.truths
    ]
    detections = [
        Detection(place, d.category, d.score, None, *encoded(d))
        for place, scene in enumerate(made)
        for d in scene.found
    ]
    numbered = [replace(a, id=number) for number, a in enumerate(annotations, start=1)]
    return AnnotationSet(images, numbered, [Category(2, "cup"), Category(5, "pan")]), detections


def iou(one: np.ndarray, other: np.ndarray) -> float:
    either = (one | other).sum()
    return (one & other).sum() / either if either else 0.0


def greedy(truths: list[np.ndarray], crowds: list[bool], ignored: list[bool], found: list[np.ndarray], level: float):
    """What each detection of one image, best first, finds: "right", "ignored" or "wrong"."""
    taken: set[int] = set()
    answers = []
    for mask in found:
        best: tuple[bool, float] | None = None
        choice = None
        for place, truth in enumerate(truths):
            overlap = (mask & truth).sum() / max(mask.sum(), 1) if crowds[place] else iou(mask, truth)
            if overlap < level or (place in taken and not crowds[place]):
                continue
            if best is None or (not ignored[place], overlap) >= best:
                best, choice = (not ignored[place], overlap), place
        if choice is None:
            answers.append("wrong")
        else:
            taken.add(choice)
            answers.append("ignored" if ignored[choice] else "right")
    return answers


def recalls(made: list[Scene], counts, limit: int) -> float | None:
    """AR of amodal masks without categories, over the truths for which `counts` holds."""
    wanted = sum(counts(t) and not t.crowd for scene in made for t in scene.truths)
    if not wanted:
        return None
    shares = []
    for level in LEVELS:
        right = 0
        for scene in made:
            best = sorted(scene.found, key=lambda d: -d.score)[:limit]
            ignored = [t.crowd or not counts(t) for t in scene.truths]
            masks = [t.amodal for t in scene.truths]
            right += greedy(
                masks, [t.crowd for t in scene.truths], ignored, [d.amodal for d in best], level - 1e-12
            ).count("right")
        shares.append(right / wanted)
    return sum(shares) / len(shares)


GROUPS = {
    "all": lambda t: True,
    "none": lambda t: t.rate <= 1e-5,
    "partial": lambda t: 1e-5 < t.rate <= 0.25,
    "heavy": lambda t: t.rate > 0.25,
    "things": lambda t: not t.stuff,
    "stuff": lambda t: t.stuff,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_class_agnostic_recall_of_every_group(seed: int) -> None:
    made = scenes(seed)
    ours = class_agnostic.recall(*as_data(made))
    assert ours.keys() == GROUPS.keys()
    for name, counts in GROUPS.items():
        for limit, value in ((10, ours[name].ar10), (100, ours[name].ar100), (1000, ours[name].ar1000)):
            assert value == pytest.approx(recalls(made, counts, limit), abs=1e-12), (name, limit)


def mean_ap(made: list[Scene], mask, counts) -> float | None:
    """AP over IoU .50:.95 and categories of one kind of mask; unmatched detections are always wrong."""
    values = []
    for category in (2, 5):
        for level in LEVELS:
            ranked, wanted = [], 0
            for scene in made:
                truths = [t for t in scene.truths if t.category == category and mask(t).any()]
                found = [d for d in scene.found if d.category == category and mask(d).any()]
                ignored = [t.crowd or not counts(t) for t in truths]
                wanted += ignored.count(False)
                best = sorted(found, key=lambda d: -d.score)
                crowds = [t.crowd for t in truths]
                answers = greedy([mask(t) for t in truths], crowds, ignored, [mask(d) for d in best], level - 1e-12)
                ranked += [(d.score, answer) for d, answer in zip(best, answers, strict=True) if answer != "ignored"]
            if not wanted:
                continue
            points, right = [], 0
            for place, (_, answer) in enumerate(sorted(ranked, key=lambda one: -one[0]), start=1):
                right += answer == "right"
                points.append((right / wanted, right / place))
            best_from = [
                max((precision for recall, precision in points if recall >= step / 100 - 1e-12), default=0.0)
                for step in range(101)
            ]
            values.append(sum(best_from) / 101)
    return sum(values) / len(values) if values else None


@pytest.mark.parametrize("seed", SEEDS)
def test_invisible_ap_and_ap_by_occlusion_rate(seed: int) -> None:
    made = scenes(seed)
    report = score(*as_data(made))
    assert report.invisible and report.amodal and report.visible
    assert report.invisible.ap == pytest.approx(mean_ap(made, lambda t: t.hidden, lambda t: True), abs=1e-12)
    assert report.amodal.ap == pytest.approx(mean_ap(made, lambda t: t.amodal, lambda t: True), abs=1e-12)
    for rate in occlusion.OCCLUSION_RATES:
        expected = mean_ap(made, lambda t: t.amodal, lambda t, rate=rate: t.rate >= rate - 1e-12)
        assert report.ap_occluded(mode="clean", least_rate=rate) == pytest.approx(expected, abs=1e-12)
    heavy = next(s for s in report.occlusion if (s.masks, s.mode) == ("visible", "clean") and "0.40" in s.column)
    assert heavy.ap == pytest.approx(mean_ap(made, lambda t: t.visible, lambda t: t.rate >= 0.4 - 1e-12), abs=1e-12)


def assigned(scene: Scene) -> list[tuple[Thing, Thing | None]]:
    """Each truth with its detection: of all one-to-one assignments the one of the greatest total visible IoU."""
    truths = [t for t in scene.truths if not t.crowd]
    found: list[Thing | None] = [d for d in scene.found if d.score >= 0.5]
    tries = permutations([*found, *[None] * len(truths)], len(truths))
    best = max(tries, key=lambda way: sum(iou(t.visible, d.visible) for t, d in zip(truths, way, strict=True) if d))
    return [(t, d if d and iou(t.visible, d.visible) > 0 else None) for t, d in zip(truths, best, strict=True)]


def rim(mask: np.ndarray) -> np.ndarray:
    """Pixels of the mask with one that is not within 2 % of the image's diagonal, to all eight sides."""
    reach = max(1, round(0.02 * (SIZE[0] ** 2 + SIZE[1] ** 2) ** 0.5))
    outside = np.pad(~mask, reach, constant_values=True)
    found = np.zeros_like(mask)
    for row, column in zip(*mask.nonzero(), strict=True):
        found[row, column] = outside[row : row + 2 * reach + 1, column : column + 2 * reach + 1].any()
    return found


def order(one: Thing, other: Thing) -> int:
    covered = int((one.visible & other.hidden).sum()) - int((other.visible & one.hidden).sum())
    return (covered > 0) - (covered < 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_shapes_and_depth_order(seed: int) -> None:
    made = [Scene(scene.truths, scene.found[:5]) for scene in scenes(seed)]  # few enough to try all assignments
    analysis = analyse(*as_data(made))
    images = [assigned(scene) for scene in made]
    pairs = [pair for image in images for pair in image]
    nothing = np.zeros(SIZE, dtype=bool)
    whole, hidden, rims, occluded = [], 0.0, [], 0
    for truth, found in pairs:
        mask = found.amodal if found else nothing
        whole.append(iou(truth.amodal, mask))
        rims.append(iou(rim(truth.amodal), rim(mask)))
        if truth.hidden.any():  # C2F-Seg's formula, the true visible mask taken from both sides
            occluded += 1
            beyond = mask & ~truth.visible
            hidden += (beyond & truth.hidden).sum() / ((beyond | truth.hidden).sum() + 1e-6)
    assert analysis.shapes.instances == len(pairs)
    assert analysis.shapes.missed == sum(found is None for _, found in pairs)
    assert analysis.shapes.mean_iou_full == pytest.approx(np.mean(whole))
    assert analysis.shapes.mean_iou_occluded == pytest.approx(hidden / occluded, abs=1e-6)
    assert analysis.shapes.mean_boundary_iou == pytest.approx(np.mean(rims))
    total = both = right = 0
    for image in images:
        for (one, found_one), (other, found_other) in combinations(image, 2):
            if (one.amodal & other.amodal).any() and order(one, other):
                total += 1
                if found_one and found_other:
                    both += 1
                    right += order(found_one, found_other) == order(one, other)
    assert (analysis.depth.pairs, analysis.depth.found, analysis.depth.right) == (total, both, right)
    assert total


@pytest.mark.parametrize("seed", SEEDS)
def test_expected_calibration_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = np.append(rng.random(200) ** 2, [0.0, 1.0])
    right = rng.random(202) < confidence
    error = 0.0
    for step in range(10):
        low, high = step / 10, (step + 1) / 10
        inside = [i for i, p in enumerate(confidence) if low <= p < high or (step == 9 and p == 1)]
        if inside:
            gap = np.mean([confidence[i] for i in inside]) - np.mean([right[i] for i in inside])
            error += len(inside) / 202 * abs(gap)
    assert Bins.of(confidence, right).calibration().error == pytest.approx(error)


def slow_average_precision(records: Records, weights: np.ndarray, category: int) -> float:
    """AP were each image there `weights` times: every detection is written down that often."""
    values = []
    wanted = sum(int(n) * int(w) for n, w in zip(records.wanted[category], weights, strict=True))
    if not wanted:
        return float("nan")
    for level in range(10):
        right = wrong = 0
        points = []
        for place in np.flatnonzero(records.category == category):
            for _ in range(weights[records.image[place]]):
                right += bool(records.matched[level, place])
                wrong += not (records.matched[level, place] or records.ignored[level, place])
            points.append((right / wanted, right / (right + wrong) if right else 0.0))
        values += [max((p for recall, p in points if recall >= point), default=0.0) for point in np.linspace(0, 1, 101)]
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", SEEDS)
def test_resampled_ap_is_that_of_repeated_images(seed: int) -> None:
    truth, detections = as_data(scenes(seed) + scenes(seed + 100))
    rng = np.random.default_rng(seed)
    clean = occlusion.clean_filter(truth)
    for records in collect(truth, detections, AMODAL, clean, list(clean.ranges)):
        resampling = Resampling(records)
        for weights in rng.multinomial(10, [0.1] * 10, size=4):
            expected = [slow_average_precision(records, weights, category) for category in range(2)]
            assert resampling.average_precisions(weights) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("bound", ["DETECTIONS_AT_ONCE", "CATEGORIES_AT_ONCE"])
def test_resampling_in_parts_is_resampling_at_once(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, detections = as_data(scenes(0) + scenes(1))
    [records] = collect(truth, detections, AMODAL, occlusion.clean_filter(truth), ["all"])
    weights = np.array([0, 3, 1, 1, 2, 0, 1, 1, 0, 1])
    at_once = Resampling(records)
    monkeypatch.setattr(f"amodal.evaluation.metrics.bootstrap.{bound}", 1)
    parts = Resampling(records)
    assert (len(at_once.parts), len(parts.parts)) == (1, 2)
    assert parts.average_precisions(weights) == pytest.approx(at_once.average_precisions(weights), abs=1e-12)
