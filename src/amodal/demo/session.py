"""What the page does with a picture, apart from the page."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from amodal.demo.decoding import decode
from amodal.demo.peeling import cut_out, peel
from amodal.drawing.render import Style
from amodal.errors import UserError
from amodal.inference.predictor import Predictor
from amodal.results.result import Result

MOST_BYTES = 20 * 2**20
"""Uploads may be so large..."""
MOST_PIXELS = 50_000_000
"""...and hold so many pixels: those of a good phone. Decoded they are 150 MB, for as long as `decoding` runs."""
WORKING_SIDE = 1280
"""Larger pictures are shrunk to this longer side before anything else: a page needs no more, and a job, whose memory is
that of the masks of a hundred objects, stays below 400 MB."""
MOST_OBJECTS = 120
"""In one picture: what a model finds, and what a person has completed by hand."""
SCORE_THRESHOLD = 0.05
"""What the score slider can bring out."""


@dataclass(frozen=True)
class Session:
    """A picture and everything that was found in it."""

    pixels: UInt8[np.ndarray, "H W 3"]
    result: Result

    def shown(self, score: float) -> list[int]:
        """The objects that score enough, as indices into the result."""
        return np.flatnonzero(self.result.scores >= score).tolist()

    def picture(self, score: float, style: Style, peeled: int | None = None) -> Image.Image:
        """The picture with what was found; or with one object freed of what covers it, the rest dimmed."""
        if peeled is None:
            chosen = self.shown(score)
            return self.result[chosen].draw(self.pixels, style, chosen)
        one = self.result[[peeled]]
        whole, visible = _both(one)
        part = {"both": whole, "visible": visible, "invisible": whole & ~visible}[style.show]
        faded = (0.35 * self.pixels + 0.65 * 255).astype(np.uint8)
        freed = np.where(part[:, :, None], peel(self.pixels, whole, visible), faded)
        if style.show == "both":  # what is invisible is told from what is visible by its hatching
            return one.draw(freed, replace(style, show="invisible"), [peeled])
        scale = style.scale or 1.0
        size = (round(freed.shape[1] * scale), round(freed.shape[0] * scale))
        return Image.fromarray(freed).resize(size, Image.Resampling.LANCZOS)

    def object_at(self, row: float, column: float, score: float) -> int | None:
        """The object that is visible at a place of the picture, or else one that is invisible there."""
        y, x = int(row), int(column)
        height, width = self.result.size
        if not (0 <= y < height and 0 <= x < width):
            return None
        for masks in (self.result.visible_masks, self.result.amodal_masks):
            if masks is not None:
                found = [index for index in self.shown(score) if masks[index, y, x]]
                if found:
                    return min(found, key=lambda index: np.count_nonzero(masks[index]))
        return None

    def table(self, score: float) -> list[list[str]]:
        """A row for each object: number, name, score, occlusion rate, depth order, size."""
        result = self.result[self.shown(score)]
        rates = [f"{rate:.0%}" for rate in result.occlusion_rates] if result.has_both_masks else ["?"] * len(result)
        order = [str(place + 1) for place in result.depth_order] if result.has_both_masks else ["?"] * len(result)
        areas = np.count_nonzero(result.masks, axis=(1, 2))
        rows = zip(result.names, result.scores, rates, order, areas, strict=True)
        return [
            [str(number), name, f"{confidence:.2f}", rate, place, f"{area:,}"]
            for number, (name, confidence, rate, place, area) in enumerate(rows, start=1)
        ]

    def write_coco(self, path: Path, score: float) -> Path:
        """Writes the objects as COCO results, and the picture's size and the categories beside them."""
        result = self.result[self.shown(score)]
        height, width = result.size
        categories = [{"id": category.id, "name": category.name} for category in result.categories]
        images = [{"id": 1, "height": height, "width": width}]
        content = {"images": images, "categories": categories, "annotations": result.to_coco(1)}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def write_cut_outs(self, path: Path, score: float) -> Path:
        """Writes a ZIP of PNGs with transparency: each object's visible part, and all of it with the rest filled."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, pixels in self._cut_outs(score):
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                archive.writestr(name, buffer.getvalue())
        return path

    def _cut_outs(self, score: float) -> Iterator[tuple[str, np.ndarray]]:
        for number, index in enumerate(self.shown(score), start=1):
            one = self.result[[index]]
            whole, visible = _both(one)
            stem = f"{number:03d}-{''.join(c if c.isalnum() else '-' for c in one.names[0])}"
            freed = peel(self.pixels, whole, visible)
            for kind, source, mask in (("visible", self.pixels, visible), ("amodal", freed, whole)):
                pixels = cut_out(source, mask)
                if pixels is not None:
                    yield f"{stem}-{kind}.png", pixels


def open_picture(predictor: Predictor, path: str | Path) -> Session:
    """Looks at an uploaded picture. Raises UserError for one that is no picture, or too large."""
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"The file is larger than {MOST_BYTES // 2**20} MB", remedy="Shrink the picture")
    pixels = decode(path, MOST_PIXELS, WORKING_SIDE)
    return Session(pixels, predictor.predict(pixels, score_threshold=SCORE_THRESHOLD))


def complete(predictor: Predictor, opened: Session, box: tuple[float, float, float, float]) -> Session:
    """The session with one object more, its last: what lies in the box (xyxy, in pixels), made whole.

    Raises:
        UserError: The box is empty, the model completes nothing from a box, or there are enough such objects.
    """
    if len(opened.result) >= MOST_OBJECTS:
        raise UserError(f"{MOST_OBJECTS} objects are enough", remedy="Give the picture again to begin anew")
    found = predictor.complete(opened.pixels, boxes=[box])
    return Session(opened.pixels, _joined(opened.result, found))


def _joined(result: Result, found: Result) -> Result:
    """Both results' objects. What was asked for has no score as a detection: it is shown at any."""

    def both(name: str) -> np.ndarray | None:
        first, second = getattr(result, name), getattr(found, name)
        return None if first is None or second is None else np.concatenate([first, second])

    values = {name: both(name) for name in ("boxes", "labels", "amodal_masks", "visible_masks")}
    return replace(
        result, **values, scores=np.append(result.scores, np.ones(len(found), np.float32)), predicted_order=None
    )


def _both(one: Result) -> tuple[np.ndarray, np.ndarray]:
    """The whole and the visible mask of a result of one object; the same twice where only one is predicted."""
    whole = one.masks[0]
    return whole, whole if one.visible_masks is None else one.visible_masks[0]
