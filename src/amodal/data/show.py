"""One HTML page that shows a data set; everything is inside it, so that it can be mailed or kept."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from amodal.annotations import AnnotationSet
from amodal.data import statistics
from amodal.drawing import charts, web_page
from amodal.errors import UserError
from amodal.results import drawn

PICTURE_SIDE = 480
"""Longest side of a picture on the page."""
NUM_BARS, NUM_MATRIX, NUM_SHAPES = 80, 16, 24
"""How many categories each part shows, the most frequent first."""
NUM_IMAGES, NUM_MASKS, SHAPE_SIDE = 1000, 40, 56
"""How many images the co-occlusion counts, how many masks a mean shape, and its side in pixels."""
RATE_EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
SIZE_EDGES = (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1)


def write(annotation_set: AnnotationSet, path: Path, num_pictures: int = 24) -> None:
    """Writes the page.

    Args:
        annotation_set: What to show.
        path: The HTML file.
        num_pictures: How many images, evenly spread; those whose file is missing or damaged show the masks on grey.
    """
    if num_pictures < 0:
        raise UserError("the number of pictures is negative", remedy="Give --count 0 or more")
    source = annotation_set.source.name if annotation_set.source else "annotations"
    parts = [
        _numbers(annotation_set),
        "<h2>Pictures</h2><p>Visible parts are tinted; invisible ones are hatched in the same colour.</p>",
        _pictures(annotation_set, num_pictures),
        _charts(annotation_set),
    ]
    web_page.write(path, source, parts)


def _numbers(annotation_set: AnnotationSet) -> str:
    rates = statistics.occlusion_rates(annotation_set)
    without = sum(not annotation_set.by_image[image.id] for image in annotation_set.images)
    rows = [
        ("images", f"{len(annotation_set.images):,}, of which {without:,} without annotations"),
        ("annotations", f"{len(annotation_set.annotations):,}"),
        ("categories", f"{len(annotation_set.categories):,}"),
        ("partly hidden (occlusion rate of 5 % or more)", f"{int((rates >= 0.05).sum()):,}"),
        ("wholly hidden", f"{int((rates == 1).sum()):,}"),
        ("mean occlusion rate", f"{rates.mean() if len(rates) else 0:.1%}"),
        *((f"mended while reading: {kind}", f"{count:,}") for kind, count in annotation_set.repairs.items()),
    ]
    return web_page.table((), rows)


def _charts(annotation_set: AnnotationSet) -> str:
    counts = Counter(annotation.category_id for annotation in annotation_set.annotations)
    names = {category.id: category.name for category in annotation_set.categories}
    order = sorted(names, key=lambda category: (-counts[category], names[category]))
    rates = np.histogram(statistics.occlusion_rates(annotation_set), RATE_EDGES)[0]
    sizes = np.histogram(statistics.relative_sizes(annotation_set), SIZE_EDGES)[0]
    frequent = [category for category in order[:NUM_MATRIX] if counts[category]]
    table = statistics.occlusions(annotation_set, frequent, NUM_IMAGES)
    left_out = f"<p>and {len(order) - NUM_BARS:,} more categories</p>" if len(order) > NUM_BARS else ""
    shown, labels = order[:NUM_BARS], [names[category] for category in frequent]
    size_axis = "square root of the amodal mask's share of the image"
    return "".join(
        [
            "<h2>Annotations of each category</h2>",
            charts.bars([names[c] for c in shown], [counts[c] for c in shown]) + left_out,
            "<h2>Occlusion rate</h2>",
            charts.histogram(rates.tolist(), RATE_EDGES, "invisible share of the amodal mask"),
            "<h2>Size</h2>",
            charts.histogram(sizes.tolist(), SIZE_EDGES, size_axis),
            f"<h2>Who covers whom</h2><p>In up to {NUM_IMAGES:,} images, the most frequent categories.</p>",
            charts.matrix(labels, labels, table, "rows: partly hidden objects; columns: the objects that hide them"),
            f"<h2>Mean shape of each category</h2><p>Of up to {NUM_MASKS} amodal masks, stretched to a square.</p>",
            _shapes(annotation_set, [c for c in order[:NUM_SHAPES] if counts[c]], names),
        ]
    )


def _shapes(annotation_set: AnnotationSet, categories: list[int], names: dict[int, str]) -> str:
    figures = []
    for category in categories:
        mean = statistics.mean_shape(annotation_set, category, NUM_MASKS, SHAPE_SIDE)
        figures.append(web_page.figure(Image.fromarray((mean * 255).astype(np.uint8)), names[category], "PNG"))
    return f'<div class="shapes">{"".join(figures)}</div>'


def _pictures(annotation_set: AnnotationSet, count: int) -> str:
    figures = []
    names = {category.id: category.name for category in annotation_set.categories}
    chosen = statistics.spread(len(annotation_set.images), count)
    for index in tqdm(chosen, "drawing", unit=" images", delay=2, leave=False, disable=None):
        image = annotation_set.images[index]
        annotations = annotation_set.by_image[image.id]
        pixels, problem = drawn.photograph(image, annotation_set.image_folder)
        picture = drawn.picture(pixels, annotations, PICTURE_SIDE)
        found = Counter(names[annotation.category_id] for annotation in annotations)
        caption = ", ".join(f"{name} {number}" if number > 1 else name for name, number in found.most_common(8))
        text = f"{image.file_name}: {caption or 'no annotation'}" + (f" ({problem})" if problem else "")
        figures.append(web_page.figure(picture, text))
    return f'<div class="pictures">{"".join(figures)}</div>'
