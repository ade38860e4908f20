"""`amodal prior ...`: fit a shape prior to a data set, look at one, read the authors' released ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from amodal.arguments import COUNT, FROM_ZERO
from amodal.commands.declared import READS, WRITES
from amodal.prior.config import PriorConfig

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from amodal.annotations import AnnotationSet
    from amodal.drawing.sheet import Tile
    from amodal.prior.shape_prior import ShapePrior

DEFAULTS = PriorConfig()


@dataclass(frozen=True)
class Masks:
    """Which masks count."""

    validate: Annotated[Path | None, READS] = None
    """Annotations to measure the prior on. Otherwise it is measured on the masks that it was fitted to."""
    skip_cut: bool = False
    """Leave out objects that reach the image's border, where their shape may be cut."""


def prior_fit(
    data: Annotated[tuple[Path, ...], tyro.conf.Positional, READS],
    *,
    out: Annotated[Path, WRITES] = Path("prior.safetensors"),
    masks: Annotated[Masks, tyro.conf.arg(name="")] = Masks(),
    settings: Annotated[PriorConfig, tyro.conf.arg(name="")] = DEFAULTS,
    seed: Annotated[int, FROM_ZERO] = 0,
    overwrite: bool = False,
) -> None:
    """Learns the whole shapes of each category from annotations; their images are not needed.

    Prints how well the shapes are known: the IoU of masks and their reconstructions, and of masks and the nearest
    shape of their category.

    Args:
        data: Annotation files of any known format, all with the same categories.
        out: The prior.
        masks: Which masks count.
        settings: Sizes and training.
        seed: Of the training.
        overwrite: Replace the prior that is there.
    """
    from amodal.prior.fit import fit, measure

    annotations = _read(data)
    shapes, labels = _masks(annotations, skip_cut=masks.skip_cut)
    prior = fit(shapes, labels, len(annotations.categories), settings, seed)
    prior.categories = tuple(sorted(annotations.categories, key=lambda category: category.id))
    if masks.validate is not None:
        shapes, labels = _masks(_read((masks.validate,), like=prior), skip_cut=masks.skip_cut)
    quality = measure(prior, shapes, labels)
    prior.details["quality"] = {"measured_on": str(masks.validate or "the fitted masks"), **vars(quality)}
    prior.save(out)
    print(f"{out}: {int(prior.codebook.counts.sum()):,} shapes of {prior.num_classes} categories")
    print(f"IoU of {quality.num_masks:,} {'fitted' if masks.validate is None else 'new'} masks")
    print(f"    with their reconstruction         {quality.reconstruction_iou:.3f}")
    print(f"    with the nearest shape            {quality.nearest_iou:.3f}")
    print(f"    with the best of the 16 nearest   {quality.best_iou:.3f}")


def prior_show(
    prior: Annotated[Path, tyro.conf.Positional, READS],
    out: Annotated[Path, tyro.conf.Positional, WRITES] = Path("prior.png"),
    *,
    data: Annotated[Path | None, READS] = None,
    count: Annotated[int, COUNT] = 10,
    overwrite: bool = False,
) -> None:
    """Draws a prior: each category's mean shape and its most typical ones, a row each.

    Args:
        prior: Made by `amodal prior fit`.
        out: The picture.
        data: Annotations: draws a mask of each category, its reconstruction and the nearest shapes instead.
        count: Shapes in a row.
        overwrite: Replace the picture that is there.
    """
    import numpy as np

    from amodal.drawing.sheet import contact_sheet
    from amodal.pictures import write_image
    from amodal.prior.shape_prior import ShapePrior

    loaded = ShapePrior.load(prior)
    if data is None:
        tiles, headings = _typical_rows(loaded, count), ["mean", "typical shapes", *[""] * (count - 1)]
    else:
        tiles = _nearest_rows(loaded, _read((data,), like=loaded), count)
        headings = ["mask", "reconstruction", *(f"{place}. nearest" for place in range(1, count + 1))]
    write_image(out, np.asarray(contact_sheet(tiles, headings=headings, side=112)))
    print(out)


def prior_convert(
    autoencoder: Annotated[Path, tyro.conf.Positional, READS],
    codebook: Annotated[Path, tyro.conf.Positional, READS],
    *,
    out: Annotated[Path, WRITES] = Path("prior.safetensors"),
    categories: Annotated[Path | None, READS] = None,
    overwrite: bool = False,
) -> None:
    """Reads the prior that the paper's authors released for a data set. Nothing in their files is executed.

    Args:
        autoencoder: Their auto-encoder, *_recon_net.pth.
        codebook: Their code book, an .npy file.
        out: The prior.
        categories: Annotations of the data set, whose categories are written into the prior.
        overwrite: Replace the prior that is there.
    """
    from amodal.prior.released import load_autoencoder, load_codebook
    from amodal.prior.shape_prior import ShapePrior

    known = sorted(_read((categories,)).categories, key=lambda c: c.id) if categories else []
    book = load_codebook(codebook, len(known) or None)
    details = {"released": [autoencoder.name, codebook.name]}
    prior = ShapePrior(load_autoencoder(autoencoder), book, known, details)
    prior.save(out)
    print(f"{out}: {int(book.counts.sum()):,} shapes of {prior.num_classes} categories")


def _read(paths: tuple[Path, ...], *, like: "ShapePrior | None" = None) -> "AnnotationSet":
    """The annotations; UserError where their categories are not those of `like`."""
    from amodal.data.config import FileSource
    from amodal.data.reading import read_all
    from amodal.errors import UserError

    annotations = read_all(FileSource(tuple(str(path) for path in paths)))
    categories = sorted(annotations.categories, key=lambda c: c.id)
    if not categories:
        raise UserError("lists no categories", file=paths[0], remedy="Give annotations with categories")
    if like is not None and (problem := like.problem_with(categories)):
        raise UserError(problem, file=paths[0], remedy="Give annotations with the same categories")
    return annotations


def _masks(annotations: "AnnotationSet", *, skip_cut: bool = False) -> "tuple[Tensor, Tensor]":
    """What `collect_masks` finds; UserError if that is nothing."""
    from amodal.errors import UserError
    from amodal.prior.collect import collect_masks

    masks, labels = collect_masks(annotations, skip_cut=skip_cut)
    if len(masks) == 0:
        raise UserError("has no amodal masks", file=annotations.source, remedy="Give annotations with objects")
    return masks, labels


def _typical_rows(prior: "ShapePrior", count: int) -> "list[Tile]":
    """Of each class that has any shapes: their mean, and the shapes nearest to the centres of `count` groups."""
    import numpy as np

    from amodal.drawing.sheet import Tile
    from amodal.prior import kmeans

    tiles = []
    for index in range(prior.num_classes):
        codes = prior.codebook.codes[index, : int(prior.codebook.counts[index])].cpu().numpy()
        if len(codes) == 0:
            continue
        shapes = prior.shapes(index)
        centres = kmeans.cluster(codes, count)
        sizes = np.bincount(kmeans.assign(codes, centres), minlength=len(centres))
        typical = kmeans.assign(centres, codes)[np.argsort(-sizes, kind="stable")]
        tiles.append(Tile(_picture(shapes.mean(0)), f"{_name(prior, index)} ({len(codes)})"))
        tiles += [Tile(_picture(shape)) for shape in shapes[typical.tolist()]]
        tiles += [Tile(_picture(shapes.new_zeros(shapes.shape[1:])))] * (count - len(typical))
    return tiles


def _nearest_rows(prior: "ShapePrior", annotations: "AnnotationSet", count: int) -> "list[Tile]":
    """Of each class that has any masks: one, its reconstruction, and the shapes nearest to it."""
    from amodal.drawing.sheet import Tile

    masks, labels = _masks(annotations)
    tiles = []
    for label in labels.unique().tolist():
        of_class = masks[labels == label]
        mask = of_class[len(of_class) // 2][None].float()
        rebuilt = prior.autoencoder(mask[None])[0]
        nearest = prior.lookup(mask, labels.new_tensor([label - 1]), count)[0]
        tiles.append(Tile(_picture(mask[0]), _name(prior, label - 1)))
        tiles += [Tile(_picture(shape)) for shape in (*rebuilt, *nearest)]
    return tiles


def _picture(mask: "Tensor") -> "np.ndarray":
    """Dark on light, with light grey for 0, so that tiles show their extent."""
    return ((1 - mask.detach().cpu()) * 235 + 20).byte().numpy()


def _name(prior: "ShapePrior", index: int) -> str:
    return prior.categories[index].name if prior.categories else f"class {index + 1}"
