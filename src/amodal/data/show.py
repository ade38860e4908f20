"""One HTML page that shows a data set; everything is inside it, so that it can be mailed or kept."""

import base64
import io
from collections import Counter
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord
from amodal.data import charts, statistics
from amodal.errors import UserError
from amodal.files import replacing
from amodal.pictures import read_annotated_image

PICTURE_SIDE = 480
"""Longest side of a picture on the page."""
NUM_BARS, NUM_MATRIX, NUM_SHAPES = 80, 16, 24
"""How many categories each part shows, the most frequent first."""
NUM_IMAGES, NUM_MASKS, SHAPE_SIDE = 1000, 40, 56
"""How many images the co-occlusion counts, how many masks a mean shape, and its side in pixels."""
RATE_EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
SIZE_EDGES = (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1)
COLOURS = np.array(
    [[230, 85, 60], [60, 140, 230], [90, 180, 70], [240, 180, 30], [160, 90, 210], [30, 180, 180], [235, 110, 175]]
)
STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --paper: #fbfbf9; --line: #d8d9d4; --bar: #3c7dd9; --cell: #ededea }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6eb; --paper: #16181d; --line: #343842; --bar: #5b9bf3; --cell: #22252c } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; overflow-wrap: anywhere } h2 { font-size: 1.15rem; margin-top: 2.2rem;
  border-top: 1px solid var(--line); padding-top: 1rem }
svg { max-width: 100%; height: auto } svg text { font-size: 12px; fill: var(--ink) } svg .small { font-size: 9.5px }
.bar { fill: var(--bar) } .cell { fill: var(--cell) }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px }
.shapes { display: grid; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: 10px; font-size: 12px }
figure { margin: 0 } figure img { width: 100%; border-radius: 4px; display: block } .shapes img { width: 84px }
figcaption { font-size: 12px; overflow-wrap: anywhere } .numbers td { padding: 0 1.2rem 0 0 }
"""


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
        f"<h1>{escape(source)}</h1>",
        _numbers(annotation_set),
        "<h2>Pictures</h2><p>Visible parts are tinted; invisible ones are striped in the same colour.</p>",
        _pictures(annotation_set, num_pictures),
        _charts(annotation_set),
    ]
    head = f'<meta charset="utf-8"><title>{escape(source)}</title><style>{STYLE}</style>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


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
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="numbers">{body}</table>'


def _charts(annotation_set: AnnotationSet) -> str:
    counts = Counter(annotation.category_id for annotation in annotation_set.annotations)
    names = {category.id: category.name for category in annotation_set.categories}
    order = sorted(names, key=lambda category: (-counts[category], names[category]))
    rates = np.histogram(statistics.occlusion_rates(annotation_set), RATE_EDGES)[0]
    sizes = np.histogram(statistics.relative_sizes(annotation_set), SIZE_EDGES)[0]
    frequent = [category for category in order[:NUM_MATRIX] if counts[category]]
    table = statistics.occlusions(annotation_set, frequent, NUM_IMAGES)
    left_out = f"<p>and {len(order) - NUM_BARS:,} more categories</p>" if len(order) > NUM_BARS else ""
    shown = order[:NUM_BARS]
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
            charts.matrix([names[c] for c in frequent], table, "partly hidden objects", "the objects that hide them"),
            f"<h2>Mean shape of each category</h2><p>Of up to {NUM_MASKS} amodal masks, stretched to a square.</p>",
            _shapes(annotation_set, [c for c in order[:NUM_SHAPES] if counts[c]], names),
        ]
    )


def _shapes(annotation_set: AnnotationSet, categories: list[int], names: dict[int, str]) -> str:
    figures = []
    for category in categories:
        mean = statistics.mean_shape(annotation_set, category, NUM_MASKS, SHAPE_SIDE)
        picture = _data_uri(Image.fromarray((mean * 255).astype(np.uint8)), "PNG")
        name = escape(names[category])
        figures.append(f'<figure><img src="{picture}" alt="{name}"><figcaption>{name}</figcaption></figure>')
    return f'<div class="shapes">{"".join(figures)}</div>'


def _pictures(annotation_set: AnnotationSet, count: int) -> str:
    figures = []
    names = {category.id: category.name for category in annotation_set.categories}
    chosen = statistics.spread(len(annotation_set.images), count)
    for index in tqdm(chosen, "drawing", unit=" images", delay=2, leave=False, disable=None):
        image = annotation_set.images[index]
        annotations = annotation_set.by_image[image.id]
        pixels, problem = _photograph(image, annotation_set.image_folder)
        picture = _data_uri(Image.fromarray(_draw(pixels, annotations)), "JPEG")
        found = Counter(names[annotation.category_id] for annotation in annotations)
        caption = ", ".join(f"{name} {number}" if number > 1 else name for name, number in found.most_common(8))
        text = escape(f"{image.file_name}: {caption or 'no annotation'}{problem}")
        figures.append(f'<figure><img src="{picture}" alt="{text}"><figcaption>{text}</figcaption></figure>')
    return f'<div class="pictures">{"".join(figures)}</div>'


def _photograph(image: ImageRecord, folder: Path | None) -> tuple[np.ndarray, str]:
    """The image, uint8 (H, W, 3), or grey and what was wrong."""
    grey = np.full((image.height, image.width, 3), 110, dtype=np.uint8)
    if folder is None:
        return grey, " (image folder not found)"
    try:
        return read_annotated_image(folder / image.file_name, (image.height, image.width)), ""
    except UserError as error:
        return grey, f" ({error.problem})"


def _draw(pixels: np.ndarray, annotations: list[Annotation]) -> np.ndarray:
    """The picture, made smaller, with visible masks tinted and invisible ones striped, farthest objects first."""
    height, width = pixels.shape[:2]
    step = max(1, -(-max(height, width) // PICTURE_SIDE))
    small = Image.fromarray(pixels).resize((-(-width // step), -(-height // step)), Image.Resampling.BOX)
    canvas = np.asarray(small).astype(np.float64)
    rows, columns = np.indices(canvas.shape[:2])
    stripes = (rows + columns) % 8 < 4
    order = sorted(range(len(annotations)), key=lambda index: -(annotations[index].depth_order or 0))
    for index in order:
        masks = rle.decode([annotations[index].visible, annotations[index].amodal], (height, width))
        visible, amodal = masks[:, ::step, ::step]
        colour = COLOURS[index % len(COLOURS)]
        canvas[visible] = 0.55 * canvas[visible] + 0.45 * colour
        invisible = amodal & ~visible & stripes
        canvas[invisible] = 0.25 * canvas[invisible] + 0.75 * colour
        canvas[_outline(amodal)] = colour
    return canvas.clip(0, 255).astype(np.uint8)


def _outline(mask: np.ndarray) -> np.ndarray:
    """The mask's pixels that touch the background."""
    padded = np.pad(mask, 1)
    return mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def _data_uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 82} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
