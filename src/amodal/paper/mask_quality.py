"""How good the masks are where boxes and classes are given: the mask branches alone, without the detector's luck.

AP mixes boxes, classes, scores and masks; two runs of one method differ by half a point in each. With the true boxes
and classes, every model answers for the very same objects, and differences of their masks can be seen in pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from amodal import masks
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.data.dataset import Sample
from amodal.evaluation.metrics.bootstrap import draws, interval
from amodal.instances import Target
from amodal.paper.trained import Trained

OCCLUDED = 0.15
"""From this occlusion rate on an object counts as occluded."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Quality:
    """IoUs of a model's masks with the truth, float64 (N,), NaN where there is nothing to measure.

    Attributes:
        amodal: Of every object.
        amodal_occluded: Of the occluded objects.
        hidden: Of occluded objects: what the amodal mask claims beyond the true visible one, and the true rest.
        visible: Of every object.
    """

    amodal: np.ndarray
    amodal_occluded: np.ndarray
    hidden: np.ndarray
    visible: np.ndarray


@torch.inference_mode()
def measure(
    model: Trained, samples: Sequence[Sample], count: int, *, coarse: bool = False
) -> tuple[Quality, np.ndarray]:
    """IoUs of all objects, and the place of the sample that each is from, int64 (N,).

    Args:
        model: Completes the objects of the true amodal boxes and classes.
        samples: With targets.
        count: How many of the samples.
        coarse: Measure the first masks of a method that refines.
    """
    found, places = [], []
    for place in tqdm(range(count), desc=model.label, unit="image"):
        sample = samples[place]
        target = sample["target"]
        prompts = Prompts(target["boxes"].numpy(), target["labels"].numpy())
        (answer,) = model.model.complete([sample["image"]], [prompts], coarse=coarse)
        found.append(_of_image(answer.coarse if coarse else answer, target))
        places += [place] * len(target["labels"])
    values = {name: torch.cat([one[name] for one in found]).double().numpy() for name in found[0]}
    return Quality(**values), np.array(places)


def _of_image(answer: BoxedMasks | None, target: Target) -> dict[str, Tensor]:
    amodal, visible = target["amodal_masks"], target["visible_masks"]
    hidden = amodal & ~visible
    rate = masks.occlusion_rates(amodal, visible)
    pasted = (None, None) if answer is None else answer.pasted((amodal.shape[1], amodal.shape[2]))
    found = {
        name: torch.from_numpy(own) for name, own in zip(("amodal", "visible"), pasted, strict=True) if own is not None
    }
    nothing = torch.full((len(amodal),), torch.nan)
    whole = masks.ious(found["amodal"], amodal) if "amodal" in found else nothing
    beyond = masks.ious(found["amodal"] & ~visible, hidden) if "amodal" in found else nothing
    part = masks.ious(found["visible"], visible) if "visible" in found else nothing
    is_occluded = rate >= OCCLUDED
    return {
        "amodal": whole,
        "amodal_occluded": torch.where(is_occluded, whole, torch.nan),
        "hidden": torch.where(is_occluded, beyond, torch.nan),
        "visible": part,
    }


def row(label: str, own: Quality, base: Quality, images: np.ndarray, seed: int = 0) -> dict[str, object]:
    """Mean IoUs in percent, each with its difference to `base` and the 95 % interval of that (None for no masks)."""
    content: dict[str, object] = {"method": label}
    for field in fields(Quality):
        values, others = getattr(own, field.name), getattr(base, field.name)
        is_there = ~np.isnan(values)
        content[field.name] = round(100 * float(values[is_there].mean()), 2) if is_there.any() else None
        both = is_there & ~np.isnan(others)
        content[f"{field.name}_difference"] = (
            [round(100 * v, 2) for v in difference((values - others)[both], images[both], seed)] if both.any() else None
        )
    return content


def difference(values: Float[np.ndarray, " N"], images: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of paired differences, and its 95 % interval by a bootstrap over images (percentile method).

    Args:
        values: A difference for each object.
        images: Which image each object is in, int (N,): objects of one image are drawn together.
        seed: Of the draws.
    """
    _, own = np.unique(images, return_inverse=True)
    sums, counts = np.bincount(own, values), np.bincount(own)
    drawn = draws(len(sums), RESAMPLES, seed)
    means = drawn @ sums / (drawn @ counts)  # the first draw is the images themselves
    return float(means[0]), *interval(means[1:])
