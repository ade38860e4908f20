"""From the masks of a data set to its shape prior: the auto-encoder, then the code book of embeddings."""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from amodal import masks as mask_functions
from amodal.errors import UserError
from amodal.prior import kmeans
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.collect import collect_masks
from amodal.prior.config import PriorConfig
from amodal.prior.shape_prior import ShapePrior

__all__ = ["Quality", "augment", "collect_masks", "fit", "measure", "train_autoencoder"]

CHUNK = 1024
"""Masks encoded at a time."""


def fit(
    masks: Bool[Tensor, "M 28 28"],
    labels: Int64[Tensor, " M"],
    num_classes: int,
    config: PriorConfig | None = None,
    seed: int = 0,
) -> ShapePrior:
    """A shape prior of these masks. The same seed on the same machine gives the same prior.

    Args:
        masks: Amodal masks, each cropped to its box, as `collect_masks` gives them.
        labels: From 1 to `num_classes`. A class may have no masks.
        num_classes: K.
        config: Sizes and training; the defaults if None.
        seed: Of the training, and of the choice where a class has too many masks.

    Raises:
        UserError: There are no masks, or a label lies outside.
    """
    config = config or PriorConfig()
    if len(masks) == 0:
        raise UserError("there are no amodal masks to learn shapes from", remedy="Give a data set with objects")
    if int(labels.min()) < 1 or int(labels.max()) > num_classes:
        raise UserError(f"labels from {int(labels.min())} to {int(labels.max())}, where 1 to {num_classes} are known")
    autoencoder = train_autoencoder(masks, config, seed)
    generator = torch.Generator().manual_seed(seed)
    classes = []
    for label in tqdm(range(1, num_classes + 1), "code book", unit="class"):
        members = (labels == label).nonzero()[:, 0]
        chosen = members[torch.randperm(len(members), generator=generator)[: config.masks_per_class].to(members.device)]
        embeddings = _encode(autoencoder, augment(masks[chosen]))
        classes.append(torch.from_numpy(kmeans.cluster(embeddings.cpu().numpy(), config.shapes_per_class)))
    book = CodeBook.from_classes(classes).to(masks.device)
    return ShapePrior(autoencoder, book, details={"masks": len(masks), "seed": seed, "fit": asdict(config)})


def train_autoencoder(masks: Bool[Tensor, "M 28 28"], config: PriorConfig, seed: int = 0) -> MaskAutoencoder:
    """An auto-encoder trained on the masks in all eight positions, by mean squared error (paper: "Shape Prior")."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        autoencoder = MaskAutoencoder(config.num_convs).to(masks.device)
        optimiser = torch.optim.Adam(autoencoder.parameters(), config.learning_rate)
        warm_up = min(50, config.steps // 10 + 1)
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimiser,
            [
                torch.optim.lr_scheduler.LinearLR(optimiser, 1 / warm_up, total_iters=warm_up),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(config.steps - warm_up, 1)),
            ],
            [warm_up],
        )
        progress = tqdm(range(config.steps), "auto-encoder", unit="step")
        for step in progress:
            batch = masks[torch.randint(len(masks), (config.batch_size,)).to(masks.device)]
            batch = _positions(batch)[int(torch.randint(8, ()))][:, None].float()
            loss = functional.mse_loss(autoencoder(batch), batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 50 == 0:
                progress.set_postfix(error=f"{loss.item():.4f}")
    return autoencoder.requires_grad_(False)


def augment(masks: Bool[Tensor, "M 28 28"]) -> Bool[Tensor, "8*M 28 28"]:
    """All masks, turned by 0, 90, 180 and 270 degrees, each also flipped upside down; the originals first."""
    return torch.cat(_positions(masks))


def _positions(masks: Tensor) -> list[Tensor]:
    return [torch.rot90(flipped, turns, (1, 2)) for flipped in (masks, masks.flip(1)) for turns in range(4)]


@torch.no_grad()
def _encode(autoencoder: MaskAutoencoder, masks: Bool[Tensor, "M 28 28"]) -> Tensor:
    return torch.cat([autoencoder.encode(part[:, None].float()) for part in masks.split(CHUNK)])


@dataclass(frozen=True)
class Quality:
    """How well a prior knows some masks: means over them, of masks at 28 x 28."""

    num_masks: int
    reconstruction_iou: float
    """IoU of a mask and its reconstruction: what the auto-encoder keeps."""
    nearest_iou: float
    """IoU of a mask and the nearest shape of its class: what the code book keeps."""
    best_iou: float
    """IoU of a mask and the best of the 16 nearest shapes of its class."""


@torch.no_grad()
def measure(prior: ShapePrior, masks: Bool[Tensor, "M 28 28"], labels: Int64[Tensor, " M"]) -> Quality:
    """The prior's quality on masks, best on some that it was not fitted to. Raises UserError if there are none."""
    if len(masks) == 0:
        raise UserError("there are no masks to measure the prior on", remedy="Give a data set with objects")
    found = []
    parts = list(zip(masks.split(CHUNK), labels.split(CHUNK), strict=True))
    for part, own in tqdm(parts, "measuring", unit=f"x {CHUNK} masks"):
        reconstruction = prior.autoencoder(part[:, None].float()) > 0.5
        shapes = prior.lookup(part.float(), own - 1, 16) > 0.5
        ious = mask_functions.ious(part[:, None].expand_as(shapes), shapes)
        found.append(torch.stack([mask_functions.ious(part, reconstruction[:, 0]), ious[:, 0], ious.amax(1)]))
    return Quality(len(masks), *torch.cat(found, 1).mean(1).tolist())
