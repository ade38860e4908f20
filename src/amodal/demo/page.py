"""The page itself: Gradio's parts, and which of the session's functions each of them calls."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio import themes
from gradio.data_classes import ImageData
from PIL import Image

from amodal.demo.session import LEAST_SCORE, MOST_BYTES, MOST_PIXELS, Session, open_picture
from amodal.errors import UserError
from amodal.inference.predictor import Predictor
from amodal.inference.render import Style, readable_scale

Kind = Literal["both", "visible", "hidden"]
SHOW: dict[Kind, str] = {"both": "Seen and hidden", "visible": "Seen only", "hidden": "Hidden only"}
COLUMNS = ["#", "object", "score", "hidden", "from the front", "pixels"]
NAMED = 24
"""Categories that the page lists, of those that the model knows."""
HELP = (
    "Upload a picture or take an example. What is **seen** of an object is tinted, what is **hidden** is hatched. "
    "**Click an object** to peel away what covers it; click again to put it back.\n\n"
    f"Pictures may have {MOST_BYTES // 2**20} MB and {MOST_PIXELS // 10**6} million pixels. This model knows "
)


class Answers:
    """What the page's parts call.

    Args:
        predictor: The model.
        folder: Where downloads are put together; a temporary one.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder = predictor, folder

    def look(self, path: str | None, least: float, kind: Kind) -> tuple[Any, ...]:
        """A picture was given, or taken away: the session, no peeled object, and what `everything` gives."""
        if path is None:
            return None, None, *self.everything(None, least, kind)
        try:
            opened = open_picture(self.predictor, path)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return opened, None, *self.everything(opened, least, kind)

    def change(self, opened: Session | None, least: float, kind: Kind) -> tuple[Any, ...]:
        """The slider or the choice moved: no peeled object, and what `everything` gives."""
        return None, *self.everything(opened, least, kind)

    def everything(self, opened: Session | None, least: float, kind: Kind) -> tuple[Any, ...]:
        """Picture, table, and the two files to download."""
        if opened is None:
            return None, None, None, None
        place = Path(tempfile.mkdtemp(dir=self.folder))
        coco, cut_outs = place / "objects.json", place / "objects.zip"
        opened.write_coco(coco, least)
        opened.write_cut_outs(cut_outs, least)
        return _drawn(opened, least, kind), opened.table(least), str(coco), str(cut_outs)

    def click(
        self, opened: Session | None, before: int | None, least: float, kind: Kind, event: gr.SelectData
    ) -> tuple[int | None, Image.Image | None]:
        """An object was clicked: the one that is peeled now, and the picture. A second click puts all back."""
        if opened is None:
            return None, None
        scale = _scale(opened)
        index = opened.object_at(event.index[1] / scale, event.index[0] / scale, least)
        after = None if index == before else index
        return after, _drawn(opened, least, kind, after)


def build(answers: Answers, examples: list[Path]) -> gr.Blocks:
    """The page, with `examples` as pictures to try."""
    with gr.Blocks(analytics_enabled=False, title="amodal", delete_cache=(3600, 3600)) as page:
        session, peeled = gr.State(None, time_to_live=3600), gr.State(None)
        gr.Markdown(f"# What is behind?\n{HELP}{known(answers.predictor)}.")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                upload = gr.Image(type="filepath", sources=["upload", "clipboard"], label="Picture", elem_id="upload")
                score = gr.Slider(LEAST_SCORE, 0.95, 0.5, step=0.05, label="Least score", elem_id="score")
                show = gr.Radio([(text, key) for key, text in SHOW.items()], value="both", label="Show", elem_id="show")
                gr.Examples([str(path) for path in examples], upload, label="Examples")
            with gr.Column(scale=2, min_width=400):
                picture = gr.Image(
                    label="Click an object",
                    interactive=False,
                    format="png",
                    buttons=["download", "fullscreen"],
                    elem_id="picture",
                )
                table = gr.Dataframe(headers=COLUMNS, interactive=False, label="Objects", elem_id="table")
                with gr.Row():
                    coco = gr.DownloadButton("COCO JSON", elem_id="coco")
                    cut_outs = gr.DownloadButton("Cut-outs (ZIP)", elem_id="cut-outs")
        # Gradio would decode an upload before any limit is looked at, and answer a broken one in its own words.
        upload.preprocess = _path_of  # type: ignore[method-assign]
        outputs = [picture, table, coco, cut_outs]
        settings = [session, score, show]
        upload.change(answers.look, [upload, score, show], [session, peeled, *outputs])
        score.release(answers.change, settings, [peeled, *outputs])
        show.change(answers.change, settings, [peeled, *outputs])
        picture.select(answers.click, [session, peeled, score, show], [peeled, picture])
    return page


def known(predictor: Predictor) -> str:
    """What the model can find, in words."""
    names = [category.name for category in predictor.categories]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


@contextmanager
def serving(predictor: Predictor, host: str = "127.0.0.1", port: int = 7860) -> Iterator[str]:
    """Serves the page while the `with` block runs; gives its address.

    Args:
        predictor: The model.
        host: Address to listen on; the default one is reached from this machine only.
        port: Port to listen on; 0 takes any free one.

    Raises:
        UserError: The port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="amodal-page-") as name:
        folder = Path(name)
        page = build(Answers(predictor, folder), write_examples(folder / "examples"))
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port or None,
                share=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=MOST_BYTES,
                allowed_paths=[str(folder)],
                footer_links=[],
                theme=themes.Soft(),
            )
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port} ({error})", remedy="Give another --port") from error
        try:
            yield address
        finally:
            page.close()


def write_examples(folder: Path, count: int = 4) -> list[Path]:
    """Drawn scenes to try the page with."""
    from amodal.synthesis.backgrounds import open_backgrounds
    from amodal.synthesis.composition import compose, scene_rng
    from amodal.synthesis.config import SceneConfig
    from amodal.synthesis.cutouts import open_cutouts

    folder.mkdir(parents=True)
    source, backgrounds = open_cutouts("drawn", "val"), open_backgrounds("drawn", "val")
    paths = [folder / f"scene-{index + 1}.png" for index in range(count)]
    for index, path in enumerate(paths):
        scene = compose(source, backgrounds, SceneConfig(size=(288, 384)), scene_rng(7, index))
        Image.fromarray(scene.image).save(path)
    return paths


def _drawn(opened: Session, least: float, kind: Kind, peeled: int | None = None) -> Image.Image:
    return opened.picture(least, Style(show=kind, scale=_scale(opened)), peeled)


def _path_of(upload: ImageData | None) -> str | None:
    return None if upload is None else upload.path


def _scale(opened: Session) -> float:
    """Pixels of the shown picture for each of the image; clicks come back in the former."""
    return readable_scale(*opened.result.size)
