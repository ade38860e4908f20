"""What the page's parts call: a picture comes, a place is clicked, a setting moves. Two at a time.

What may take long has its time: `decoding` reads a picture, `model_processes` look at it. The rest is bounded by the
sizes that `session` takes.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import gradio as gr
from PIL import Image, ImageDraw

from amodal.demo.session import Session, complete, open_picture
from amodal.demo.shelf import Shelf
from amodal.drawing.render import Style, readable_scale
from amodal.errors import UserError
from amodal.inference.predictor import Predictor

Kind = Literal["both", "visible", "invisible"]
Touch = Literal["peel", "box"]
Focus = tuple[int | None, tuple[float, float] | None]
"""The object that is looked at alone, and where a box begins: (x, y) in pixels of the working size."""
NOWHERE: Focus = (None, None)
T = TypeVar("T")

JOBS = 2
"""At the same time: one more would only make all of them slower and larger."""


@dataclass(frozen=True)
class View:
    """What a person has chosen to see.

    Attributes:
        least: Least score of the objects shown.
        kind: Which parts of them.
        touch: What a click does.
        peeled: As in Focus.
        corner: As in Focus.
    """

    least: float
    kind: Kind
    touch: Touch = "peel"
    peeled: int | None = None
    corner: tuple[float, float] | None = None


class Answers:
    """What the page's parts call.

    Args:
        predictor: The model.
        folder: Where downloads are put together; a temporary one.
        shelf: Keeps what people look at.
    """

    def __init__(self, predictor: Predictor, folder: Path, shelf: Shelf) -> None:
        self.predictor, self.folder, self.shelf = predictor, folder, shelf
        self._jobs = ThreadPoolExecutor(JOBS, "job")

    def look(self, path: str | None, least: float, kind: Kind, request: gr.Request) -> tuple[Any, ...]:
        """A picture was given, or taken away: no focus, and what `_everything` gives."""
        key = _key(request)
        self.shelf.drop(key)
        if path is None:
            return NOWHERE, *_nothing()
        opened = self._job(lambda: open_picture(self.predictor, path))
        return NOWHERE, *self._everything(key, opened, View(least, kind))

    def change(self, least: float, kind: Kind, focus: Focus, request: gr.Request) -> tuple[Any, ...]:
        """The slider or the choice moved: what `_everything` gives."""
        key = _key(request)
        opened = self._opened(key)
        return _nothing() if opened is None else self._everything(key, opened, View(least, kind, peeled=focus[0]))

    def click(self, view: View, place: tuple[float, float], request: gr.Request) -> tuple[Any, ...]:
        """A place was clicked: the focus now, and what `_everything` gives.

        A second click on an object puts all back; a second corner has what lies in the box made whole.
        """
        key = _key(request)
        opened = self._opened(key)
        if opened is None:
            return NOWHERE, *_nothing()
        scale = _scale(opened)
        x, y = place[0] / scale, place[1] / scale
        if view.touch == "peel":
            index = opened.object_at(y, x, view.least)
            after = None if index == view.peeled else index
            return (after, None), _drawn(opened, View(view.least, view.kind, peeled=after)), *_unchanged()
        if view.corner is None:
            return (None, (x, y)), _drawn(opened, View(view.least, view.kind, corner=(x, y))), *_unchanged()
        box = (min(x, view.corner[0]), min(y, view.corner[1]), max(x, view.corner[0]), max(y, view.corner[1]))
        opened = self._job(partial(complete, self.predictor, opened, box))
        peeled = len(opened.result) - 1
        return (peeled, None), *self._everything(key, opened, View(view.least, view.kind, peeled=peeled))

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.shelf.drop(_key(request))

    def _opened(self, key: str) -> Session | None:
        opened = self.shelf.get(key)
        if opened is None:
            gr.Info("There is no picture, or it was let go after some minutes: give it again")
        return opened

    def _everything(self, key: str, opened: Session, view: View) -> tuple[Any, ...]:
        """Picture, table, and the two files to download; the session goes back on the shelf."""

        def make() -> tuple[Any, ...]:
            place = Path(tempfile.mkdtemp(dir=self.folder))
            coco, cut_outs = place / "objects.json", place / "objects.zip"
            opened.write_coco(coco, view.least)
            opened.write_cut_outs(cut_outs, view.least)
            if not self.shelf.put(key, opened, place):
                raise UserError("The picture takes too much memory", remedy="Give a smaller one")
            files = (gr.DownloadButton(value=str(path), interactive=True) for path in (coco, cut_outs))
            return _drawn(opened, view), opened.table(view.least), *files

        return self._job(make)

    def _job(self, work: Callable[[], T]) -> T:
        """Does the work as one of `JOBS`. What goes wrong is told without the names of this machine's files."""
        try:
            return self._jobs.submit(work).result()
        except UserError as error:
            words = f"{error.problem}. {error.remedy}" if error.remedy else error.problem
            raise gr.Error(words, print_exception=False) from error
        except MemoryError as error:
            raise gr.Error("This takes too much memory. Give a smaller picture", print_exception=False) from error


def _key(request: gr.Request) -> str:
    return str(request.session_hash)


def _nothing() -> tuple[Any, ...]:
    off = gr.DownloadButton(value=None, interactive=False)
    return None, None, off, off


def _unchanged() -> tuple[Any, ...]:
    """For the table and the two files."""
    return gr.skip(), gr.skip(), gr.skip()


def _drawn(opened: Session, view: View) -> Image.Image:
    picture = opened.picture(view.least, Style(show=view.kind, scale=_scale(opened)), view.peeled)
    if view.corner is not None:
        x, y = (value * _scale(opened) for value in view.corner)
        pen = ImageDraw.Draw(picture)
        for width, colour in ((5, "black"), (3, "white")):
            pen.line((x - 14, y, x + 14, y), colour, width)
            pen.line((x, y - 14, x, y + 14), colour, width)
    return picture


def _scale(opened: Session) -> float:
    """Pixels of the shown picture for each of the image; clicks come back in the former."""
    return readable_scale(*opened.result.size)
