"""What `amodal predict` writes: a picture for each image, results as JSON, a contact sheet."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from amodal import outputs
from amodal.annotations import Category
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.errors import UserError
from amodal.files import write_json
from amodal.formats.predicted import IMAGES, RESULTS, images_file
from amodal.inference import ledger
from amodal.inference.ledger import Ledger, Planned
from amodal.pictures import read_image, write_image
from amodal.results import result_files
from amodal.results.result import Result

SHEET = "sheet.jpg"
SHEET_PICTURES = 24
"""Pictures on the contact sheet, the first ones."""
SHEET_SIDE = 420


class ResultFolder:
    """Use it in a `with` statement: pictures and a line in the ledger are written at once, the rest on leaving.

    Where a run is killed, its ledger keeps what was found: a run that resumes does what is missing, and writes it all.
    """

    def __init__(self, folder: Path, categories: Sequence[Category], settings: dict[str, Any] | None = None) -> None:
        self.folder, self.categories = folder, categories
        self._settings = {**(settings or {}), "categories": [asdict(category) for category in categories]}
        self._ledger = Ledger(folder)
        self._is_new = not self._ledger.exists
        self.num_objects = 0
        self.num_images = 0

    @property
    def sheet_path(self) -> Path:
        """Where the contact sheet is."""
        return self.folder / SHEET

    def plan(self, sources: Sequence[tuple[Path, str]], *, resume: bool = False, anew: bool = False) -> list[Planned]:
        """Gives every source a number and a file name of its own, and claims all that will be written.

        Args:
            sources: Images and videos, and the ending of what is drawn for each.
            resume: Whether what an earlier run did with the same settings stands.
            anew: Whether what an earlier run did is replaced.

        Returns:
            What is left to do: all of it, or with `resume` what is missing.

        Raises:
            UserError: The folder holds results, and neither is wanted; or those of other settings; or another's files.
        """
        before = self._ledger
        if before.exists and not resume and not anew:
            remedy = "--resume does what is missing, --overwrite starts anew; or choose another --out"
            raise UserError("holds results already", file=self.folder, remedy=remedy)
        if before.exists:
            fixed = (ledger.NAME, RESULTS, IMAGES, SHEET)
            outputs.own(self.folder / name for name in (*fixed, *(one.target for one in before.planned.values())))
        if before.exists and resume:
            self._check_same()
            old = set[str]()
        else:
            old = {one.target for one in before.planned.values()}
            before.forget()
        new = list(self._named(sources))
        outputs.claim(self.folder / name for name in (ledger.NAME, RESULTS, IMAGES, SHEET))
        outputs.claim(self.folder / one.target for one in new)
        for name in old - {one.target for one in new}:  # what nothing new replaces, and nothing would list any more
            (self.folder / name).unlink(missing_ok=True)
        before.write({"plan": [(p.number, str(p.source), p.target) for p in new], "settings": self._settings})
        asked = {_key(source) for source, _ in sources}
        finished = {number for number in before.done if (self.folder / before.planned[number].target).is_file()}
        return [one for n, one in before.planned.items() if n not in finished and _key(one.source) in asked]

    def add(self, planned: Planned, picture: Image.Image, result: Result) -> None:
        """Writes the picture of one image and notes what was found in it."""
        write_image(self.folder / planned.target, picture, quality=92)
        height, width = result.size
        image = {"id": planned.number, "file_name": str(planned.source), "height": height, "width": width}
        found = [result_files.to_json(detection) for detection in result.to_detections(planned.number)]
        image["picture"] = planned.target
        self._ledger.write({"number": planned.number, "image": image, "detections": found})

    def add_video(self, planned: Planned, num_frames: int) -> None:
        """Notes that a video is written."""
        self._ledger.write({"number": planned.number, "frames": num_frames})

    def finish(self) -> None:
        """Writes the JSON files and the sheet of all that the ledger knows; a new folder of nothing is removed."""
        if not self._ledger.done:
            if self._is_new:  # else it tells which files are an earlier run's
                self._ledger.remove()
            return
        images = [entry["image"] for entry in self._ledger.read() if "image" in entry]
        if not images:
            return
        found = (detection for entry in self._ledger.read() for detection in entry.get("detections", ()))
        self.num_images, self.num_objects = len(images), result_files.write_records(found, self.folder / RESULTS)
        write_json(self.folder / IMAGES, images_file(images, self._settings["categories"], RESULTS), indent=1)
        shown = [path for image in images if (path := self.folder / image["picture"]).is_file()][:SHEET_PICTURES]
        tiles = [Tile(_thumbnail(path), path.name) for path in shown]
        if tiles:
            write_image(self.sheet_path, contact_sheet(tiles, side=SHEET_SIDE), quality=90)

    def _named(self, sources: Sequence[tuple[Path, str]]) -> Iterator[Planned]:
        """The sources that no run has planned yet, each once; files of one name in two folders get a number."""
        known = {_key(one.source) for one in self._ledger.planned.values()}
        taken = {one.target.casefold() for one in self._ledger.planned.values()} | {SHEET}
        number = max(self._ledger.planned, default=0)
        for source, suffix in sources:
            if _key(source) in known:
                continue
            known.add(_key(source))
            copy, name = 2, f"{source.stem}{suffix}"
            while name.casefold() in taken:
                copy, name = copy + 1, f"{source.stem}-{copy}{suffix}"
            taken.add(name.casefold())
            number += 1
            yield Planned(number, source, name)

    def _check_same(self) -> None:
        for name, value in self._settings.items():
            if self._ledger.settings.get(name) != value:
                before = self._ledger.settings.get(name)
                problem = "other categories" if name == "categories" else f"{name} {before}, not {value}"
                raise UserError(
                    f"holds results of another run ({problem})",
                    file=self.folder,
                    remedy="Resume with the same model and flags, start anew with --overwrite, or choose another --out",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Writes what is there; after an interruption too, but not over an error."""
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.finish()


def _key(source: Path) -> str:
    return os.path.normpath(source.absolute())


def _thumbnail(path: Path) -> Image.Image:
    picture = Image.fromarray(read_image(path))
    picture.thumbnail((SHEET_SIDE, SHEET_SIDE), Image.Resampling.LANCZOS)
    return picture
