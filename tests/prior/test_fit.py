import numpy as np
import pytest
import torch

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.instances import Target
from amodal.prior.collect import collect_masks
from amodal.prior.config import PriorConfig
from amodal.prior.fit import augment, fit, measure, train_autoencoder
from amodal.prior.shape_prior import ShapePrior

QUICK = PriorConfig(steps=150, shapes_per_class=12, batch_size=32)


def ellipses_and_bars(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Label 1: ellipses; label 3: bars from corner to corner; none of label 2."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:28, :28] - 13.5) / 14
    masks, labels = [], []
    for _ in range(count):
        masks.append((x / rng.uniform(0.7, 1)) ** 2 + (y / rng.uniform(0.7, 1)) ** 2 < 1)
        masks.append(abs(x - y) < rng.uniform(0.2, 0.7))
        labels += [1, 3]
    return torch.from_numpy(np.stack(masks)), torch.tensor(labels)


@pytest.fixture(scope="module")
def fitted() -> ShapePrior:
    return fit(*ellipses_and_bars(60), 3, QUICK, seed=1)


def test_fitted_prior_knows_new_masks_of_its_classes(fitted: ShapePrior) -> None:
    masks, labels = ellipses_and_bars(20, seed=5)
    quality = measure(fitted, masks, labels)
    assert quality.num_masks == 40
    assert quality.reconstruction_iou > 0.85
    assert 0.85 < quality.nearest_iou <= quality.best_iou
    swapped = measure(fitted, masks, 4 - labels)
    assert swapped.nearest_iou < 0.75


def test_code_book_has_no_more_shapes_than_asked_for_and_none_of_an_absent_class(fitted: ShapePrior) -> None:
    assert fitted.codebook.counts.tolist() == [12, 0, 12]
    assert fitted.details["masks"] == 120


def test_a_class_with_few_masks_keeps_all_their_embeddings() -> None:
    masks = torch.zeros(1, 28, 28, dtype=torch.bool)
    masks[0, :9, :20] = True  # all eight positions differ
    prior = fit(masks, torch.tensor([1]), 1, PriorConfig(steps=1))
    assert prior.codebook.counts.tolist() == [8]
    with torch.no_grad():
        embeddings = prior.autoencoder.encode(augment(masks)[:, None].float())
    assert prior.codebook.nearest(embeddings, torch.zeros(8, dtype=torch.int64), 1)[1].max() < 1e-4


def test_masks_beyond_the_limit_are_left_out() -> None:
    masks, labels = ellipses_and_bars(30)
    prior = fit(masks, labels, 3, PriorConfig(steps=1, masks_per_class=2))
    assert int(prior.codebook.counts.max()) <= 16


def test_same_seed_same_prior_and_nothing_else_is_disturbed() -> None:
    masks, labels = ellipses_and_bars(5)
    quick = PriorConfig(steps=3, shapes_per_class=4)
    state = torch.get_rng_state()
    first, second, other = (fit(masks, labels, 3, quick, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["codebook.codes"], other["codebook.codes"])


def test_training_lowers_the_error() -> None:
    masks, _ = ellipses_and_bars(40)
    given = masks[:, None].float()
    errors = []
    for steps in (1, 150):
        autoencoder = train_autoencoder(masks, PriorConfig(num_convs=2, steps=steps, batch_size=32))
        errors.append(float((autoencoder(given) - given).square().mean()))
    assert errors[1] < 0.25 * errors[0]


def test_eight_positions_of_a_mask() -> None:
    mask = torch.zeros(1, 3, 3, dtype=torch.bool)
    mask[0, 0, :2] = True
    found = {tuple(map(tuple, position.nonzero().tolist())) for position in augment(mask)}
    assert found == {
        ((0, 0), (0, 1)),
        ((0, 1), (0, 2)),
        ((2, 0), (2, 1)),
        ((2, 1), (2, 2)),
        ((0, 0), (1, 0)),
        ((1, 0), (2, 0)),
        ((0, 2), (1, 2)),
        ((1, 2), (2, 2)),
    }
    two = torch.rand(2, 28, 28) > 0.5
    assert torch.equal(augment(two)[:2], two)
    assert torch.equal(augment(two)[8:10], two.flip(1))


@pytest.mark.parametrize("labels", [[0, 1], [1, 4]])
def test_labels_outside_are_refused(labels: list[int]) -> None:
    with pytest.raises(UserError, match=f"labels from {labels[0]} to {labels[1]}, where 1 to 3"):
        fit(torch.ones(2, 28, 28, dtype=torch.bool), torch.tensor(labels), 3, QUICK)


def test_no_masks_are_refused(fitted: ShapePrior) -> None:
    nothing, labels = torch.zeros(0, 28, 28, dtype=torch.bool), torch.zeros(0, dtype=torch.int64)
    with pytest.raises(UserError, match="no amodal masks to learn shapes from"):
        fit(nothing, labels, 2)
    with pytest.raises(UserError, match="no masks to measure"):
        measure(fitted, nothing, labels)


@pytest.mark.parametrize("name", ["steps", "shapes_per_class", "masks_per_class", "batch_size", "learning_rate"])
def test_settings_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"prior {name}: must be more than 0"):
        PriorConfig(**{name: 0})


def scene() -> tuple[AnnotationSet, list[dict[str, Target]]]:
    """Two images with the same three objects: one inside, one at the border, one empty; as annotations and samples."""
    amodal = np.zeros((3, 60, 80), dtype=bool)
    amodal[0, 10:50, 20:60] = np.tri(40, dtype=bool)
    amodal[1, 30:, 5:33] = True
    amodal[1, 30:40, 5:10] = False
    visible = amodal & (np.arange(80) < 40)
    categories = [Category(7, "wedge"), Category(3, "block")]
    masks, seen = rle.encode(amodal), rle.encode(visible)
    annotations = [
        Annotation(10 * image + i, image, (7, 3, 7)[i], masks[i], seen[i]) for image in (1, 2) for i in range(3)
    ]
    annotations.append(Annotation(99, 1, 3, masks[0], masks[0], is_crowd=True))
    annotations.append(Annotation(98, 1, 3, masks[0], masks[0], is_stuff=True))
    images = [ImageRecord(1, "a.png", 60, 80), ImageRecord(2, "b.png", 60, 80)]
    target: Target = {
        "boxes": torch.tensor([[20.0, 10, 60, 50], [5, 30, 33, 60], [0, 0, 0, 0]]),
        "labels": torch.tensor([2, 1, 2]),
        "amodal_masks": torch.from_numpy(amodal),
        "visible_masks": torch.from_numpy(visible),
    }
    return AnnotationSet(images, annotations, categories), [{"target": target}] * 2


def test_amodal_masks_are_cropped_to_their_boxes() -> None:
    annotations, _ = scene()
    masks, labels = collect_masks(annotations)
    assert labels.tolist() == [2, 1, 2, 1]
    assert masks.dtype == torch.bool and masks.shape == (4, 28, 28)
    expected = torch.ones(28, 28, dtype=torch.bool)
    expected[:9, :5] = False  # 10 of 30 rows, 5 of 28 columns; row 9 covers 9.6 to 10.7
    assert torch.equal(masks[1], expected)
    inner = torch.ones(28, 28).tril(-1).bool() <= masks[0]
    assert bool(inner.all()) and not masks[0].triu(1).any()


def test_annotations_and_samples_give_the_same_masks() -> None:
    annotations, samples = scene()
    for skip_cut, count in ((False, 4), (True, 2)):
        from_annotations = collect_masks(annotations, skip_cut=skip_cut)
        from_samples = collect_masks(samples, skip_cut=skip_cut)
        assert len(from_samples[0]) == count
        for one, other in zip(from_annotations, from_samples, strict=True):
            assert torch.equal(one, other)


def test_no_objects_give_no_masks() -> None:
    masks, labels = collect_masks(AnnotationSet([ImageRecord(1, "a.png", 9, 9)], [], [Category(1, "cup")]))
    assert masks.shape == (0, 28, 28) and labels.shape == (0,)
