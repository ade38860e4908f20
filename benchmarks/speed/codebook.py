"""The shape prior's code book: fitting it, and asking it."""

from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.cluster import KMeans
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint
from amodal.models.methods.vrsp import VRSP
from amodal.prior import kmeans
from amodal.prior.autoencoder import MASK_SIDE
from amodal.prior.codebook import CodeBook
from amodal.prior.fit import augment
from amodal.prior.shape_prior import ShapePrior
from amodal.synthesis import shapes
from benchmarks.speed import small, training
from benchmarks.speed.harness import Curve, Measured, Row, Stage, Timing, best, centre, compare, timed

TITLE = "The code book of shapes"
CLASSES, CENTRES, MASKS = 60, 1024, 328
"""328 masks are 2,624 in eight positions: as many as a category of ETH-80 has."""
REGIONS, NEAREST = 512, 16
IMAGES = 32
"""Of a step that looks up shapes for so many regions: a quarter of the 64 that are sampled in an image are objects."""
LOOP = "cdist per class in a Python loop"


def silhouettes(label: int, count: int) -> Tensor:
    """Different masks of a class, bool (count, 28, 28): drawn objects turned, sheared and stretched, in their boxes."""
    rng = np.random.default_rng(label)
    names = list(shapes.DRAWINGS)
    name, kinds = names[label % len(names)], range(min(count, 4))
    drawings = [Image.fromarray(shapes.draw(name, label + 100 * i, 96).alpha) for i in kinds]
    found = np.zeros((count, MASK_SIDE, MASK_SIDE), dtype=bool)
    for i in range(count):
        angle, shear, stretch = rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.4), np.exp(rng.uniform(-0.4, 0.4))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ [[stretch, shear], [0, 1 / stretch]]
        drawing = drawings[i % len(drawings)]
        offset = np.array(drawing.size) / 2 - linear @ (96, 96)
        matrix = (*linear[0], offset[0], *linear[1], offset[1])
        picture = drawing.transform((192, 192), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        cells = picture.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX, box=picture.getbbox())
        found[i] = np.asarray(cells) >= 128
    return torch.from_numpy(found)


def embeddings(prior: ShapePrior, label: int, count: int) -> np.ndarray:
    """What a code book is fitted to: float32 (8 * count, D)."""
    return prior.autoencoder.encode(augment(silhouettes(label, count))[:, None].float()).numpy()


def lookup_in_loop(prior: ShapePrior, query: Tensor, labels: Tensor, k: int) -> Tensor:
    """The same answer as `ShapePrior.lookup` gives, class by class, each found code decoded."""
    embedded = prior.autoencoder.encode(query[:, None])
    answer = torch.empty(len(query), k, MASK_SIDE, MASK_SIDE)
    for label in labels.unique():
        own = labels == label
        codes = prior.codebook.codes[label]
        nearest = codes[torch.cdist(embedded[own], codes).topk(k, largest=False).indices]
        answer[own] = prior.autoencoder.decode(nearest.flatten(0, 1)).view(-1, k, MASK_SIDE, MASK_SIDE)
    return answer


def nearest_in_loop(book: CodeBook, embedded: Tensor, labels: Tensor, k: int) -> list[Tensor]:
    """Only the indices of the nearest codes, class by class."""
    chosen = [(embedded[labels == label], book.codes[label]) for label in labels.unique()]
    return [torch.cdist(own, codes).topk(k, largest=False).indices for own, codes in chosen]


@torch.no_grad()
def measure(quick: bool) -> Measured:
    prior = small.packaged_prior().eval()
    steps, regions = steps_of(quick)
    fit_rows, fit_curve, facts = fitting(prior, quick)
    book = whole_book(prior, quick)
    rows, curves, stages = asking(book, steps, quick)
    return Measured([*fit_rows, *rows], [fit_curve, *curves], stages, facts | {"regions_of_step": regions})


def steps_of(quick: bool) -> tuple[list[float], int]:
    """Seconds of training steps that look up shapes for as many regions as `asking` does, and how many those are."""
    model = checkpoint.load(PACKAGED / "demo.safetensors").model.train()
    assert isinstance(model.branch, VRSP)
    regions: list[int] = []
    hook = model.branch.visible_head.register_forward_hook(lambda _, given, __: regions.append(len(given[0])))
    once = training.step(model, *training.batch(1 if quick else IMAGES))
    with torch.enable_grad():
        once()
        hook.remove()
        return [timed(once) for _ in range(1 if quick else 5)], regions[0]


def fitting(prior: ShapePrior, quick: bool) -> tuple[list[Row], Curve, dict[str, Any]]:
    """Some classes against scikit-learn, one a repetition; all classes for ourselves."""
    count, centres, pairs = (8, 12, 2) if quick else (MASKS, CENTRES, 3)
    seconds: tuple[list[float], list[float]] = ([], [])
    inertia = []
    for label in range(pairs):
        points = embeddings(prior, label, count)
        began = perf_counter()
        own = kmeans.cluster(points, centres)
        halfway = perf_counter()
        theirs = KMeans(centres, random_state=0).fit(points)
        seconds[0].append(halfway - began)
        seconds[1].append(perf_counter() - halfway)
        inertia.append(kmeans.inertia(points, own) / float(theirs.inertia_))
    name = f"Code book fitted, a class of {8 * count:,} masks, {centres} centres"
    details = {"classes": pairs, "inertia_over_rival": inertia, "embedding_size": prior.codebook.codes.shape[2]}
    row = Timing(*seconds).row(name, "scikit-learn KMeans", 5, **details)
    sizes = [1, 2] if quick else [1, 4, 16, CLASSES]
    points = [embeddings(prior, label, count) for label in range(sizes[-1])]
    spent = [timed(lambda own=own: kmeans.cluster(own, centres)) for own in points]
    ours = [sum(spent[:size]) for size in sizes]
    theirs = [sum(seconds[1][:size]) for size in range(1, pairs + 1)]
    curve = Curve("fit", "classes", [float(size) for size in sizes], ours, theirs[:1], "scikit-learn KMeans")
    return [row], curve, {"classes": sizes[-1], "fit_seconds": ours[-1], "points": 8 * count, "centres": centres}


def whole_book(prior: ShapePrior, quick: bool) -> ShapePrior:
    """A prior of 60 classes x 1024 shapes."""
    classes, centres = (3, 24) if quick else (CLASSES, CENTRES)
    codes = [torch.from_numpy(embeddings(prior, label, -(-centres // 8)))[:centres] for label in range(classes)]
    return ShapePrior(prior.autoencoder, CodeBook.from_classes(codes))


def asking(prior: ShapePrior, steps: list[float], quick: bool) -> tuple[list[Row], list[Curve], list[Stage]]:
    """Lookups of many regions at once, as in a training step."""
    regions, repetitions = (16, 2) if quick else (REGIONS, 7)
    classes, centres, width = prior.codebook.codes.shape
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (4 * regions,), generator=generator)
    query = torch.cat([silhouettes(int(label), 1) for label in labels[:64]]).float().repeat(regions // 16, 1, 1)
    labels, query = labels[: len(query)], query[: len(labels)]
    few, own = query[:regions], labels[:regions]
    embedded = prior.autoencoder.encode(few[:, None])
    difference = (prior.lookup(few, own, NEAREST) - lookup_in_loop(prior, few, own, NEAREST)).abs().amax()
    what = f"{regions} regions, {classes} classes x {centres} shapes, k = {NEAREST}"
    looked_up = compare(
        lambda: prior.lookup(few, own, NEAREST),
        lambda: lookup_in_loop(prior, few, own, NEAREST),
        repetitions=repetitions,
    )
    found = compare(
        lambda: prior.codebook.nearest(embedded, own, NEAREST),
        lambda: nearest_in_loop(prior.codebook, embedded, own, NEAREST),
        repetitions=repetitions,
    )
    shares = [seconds / centre(steps)[0] for seconds in looked_up.ours]
    share = Row(
        f"Share of a training step that a lookup takes, {what}",
        f"a step of VRSP with as many regions, demo recipe ({IMAGES} images of 160 pixels)",
        *centre(shares),
        "share",
        0.01,
        {"seconds": centre(looked_up.ours)[0], "rival_seconds": centre(steps)[0], "ratios": shares},
    )
    rows = [
        looked_up.row(
            f"Shapes looked up, {what}", f"{LOOP}, codes decoded", **{"largest_difference": float(difference)}
        ),
        found.row(f"Nearest codes alone, {what}", LOOP),
        share,
    ]
    sizes = [4, 16] if quick else [8, 32, 128, 512, 2048]
    parts = [(query[:size], labels[:size]) for size in sizes]
    ours = [best(lambda part=part: prior.lookup(*part, NEAREST)) for part in parts]
    theirs = [best(lambda part=part: lookup_in_loop(prior, *part, NEAREST), 1) for part in parts[:-1]]
    products, read = 2.0 * regions * centres * width, 4.0 * (classes * centres * (width + 1) + regions * width)
    with FlopCounterMode(display=False) as counter:
        prior.autoencoder.encode(few[:, None])
    written = 4.0 * regions * NEAREST * MASK_SIDE**2
    stages = [
        Stage("nearest codes", products, read + 12.0 * regions * NEAREST, centre(found.ours)[0]),
        Stage(
            "lookup, shapes known", products + counter.get_total_flops(), read + 2 * written, centre(looked_up.ours)[0]
        ),
    ]
    return rows, [Curve("lookup", "regions", [float(size) for size in sizes], ours, theirs, LOOP)], stages


def describe(measured: Measured) -> str:
    fit, lookup, nearest, share = measured.rows
    facts, inertia = measured.facts, fit.details["inertia_over_rival"]
    return f"""**Fitting** is K-Means with few points a centre, where the start decides. Ward's clustering in cells
gives the start, three of Lloyd's rounds follow. All {facts["classes"]} classes of {facts["points"]:,} embeddings and
{facts["centres"]} centres take {facts["fit_seconds"]:.0f} s. On {len(inertia)} of these classes scikit-learn takes
{fit.ratio:.1f} x as long; our inertia is {min(inertia):.3f} to {max(inertia):.3f} of its inertia (below 1: better).

**Asking** sorts regions by class, takes one matrix product for each class present, and one choice of the nearest for
all. A shape's mask is decoded when it is first found, and kept: nothing in the prior changes.

* A lookup of all regions takes {lookup.details["seconds"] * 1e3:.1f} ms, {100 * share.ratio:.2g} % of a training step
  of the smallest model with {facts["regions_of_step"]} regions ({share.details["rival_seconds"]:.2f} s).
* {lookup.ratio:.0f} x faster than class by class with every found code decoded; the answers differ by
  {lookup.details["largest_difference"]:.0e} at most. The nearest codes alone: {nearest.ratio:.1f} x."""
