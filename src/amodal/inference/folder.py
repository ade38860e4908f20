"""What `amodal predict` writes: a picture for each image, results as JSON, a contact sheet. No torch here."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from amodal.annotations import Category, Detection
from amodal.evaluation import results
from amodal.files import write_image, write_json
from amodal.inference.render import Style
from amodal.inference.result import Result
from amodal.inference.sheet import Tile, contact_sheet

SHEET_PICTURES = 24
"""Pictures on the contact sheet, the first ones."""
SHEET_SIDE = 420


class ResultFolder:
    """Use it in a `with` statement: pictures are written at once, the JSON files and the sheet on leaving."""

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self.folder, self.categories = folder, categories
        self.num_objects = 0
        self._images: list[dict[str, Any]] = []
        self._detections: list[Detection] = []
        self._tiles: list[Tile] = []
        self._names: set[str] = set()

    @property
    def num_images(self) -> int:
        """Images added so far."""
        return len(self._images)

    @property
    def sheet_path(self) -> Path:
        """Where the contact sheet is."""
        return self.folder / "sheet.jpg"

    def add(self, path: Path, pixels: np.ndarray, result: Result, style: Style) -> Path:
        """Writes the picture of one image and keeps its results. Gives the picture's path."""
        image_id = len(self._images) + 1
        picture = result.draw(pixels, style)
        target = self.folder / self._new_name(path.stem)
        write_image(target, picture, quality=92)
        height, width = result.size
        self._images.append(
            {"id": image_id, "file_name": str(path), "height": height, "width": width, "picture": target.name}
        )
        self._detections += result.to_detections(image_id)
        self.num_objects += len(result)
        if len(self._tiles) < SHEET_PICTURES:
            picture.thumbnail((SHEET_SIDE, SHEET_SIDE), Image.Resampling.LANCZOS)
            self._tiles.append(Tile(picture, path.name))
        return target

    def _new_name(self, stem: str) -> str:
        """A picture's file name; images of one name in two folders get a number."""
        reserved = self._names | {"sheet.jpg"}
        number, name = 2, f"{stem}.jpg"
        while name in reserved:
            number, name = number + 1, f"{stem}-{number}.jpg"
        self._names.add(name)
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Writes what is there; after an interruption too, but not over an error."""
        if (kind is None or issubclass(kind, KeyboardInterrupt)) and self._images:
            results.write(self._detections, self.folder / "predictions.json")
            categories = [asdict(category) for category in self.categories]
            write_json(self.folder / "images.json", {"images": self._images, "categories": categories}, indent=1)
            write_image(self.sheet_path, contact_sheet(self._tiles, side=SHEET_SIDE), quality=90)
