"""The page itself: Gradio's parts, where they stand, and which of the answers each of them calls."""

import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import gradio as gr
from gradio import themes
from gradio.data_classes import ImageData
from starlette.middleware import Middleware

from amodal import samples
from amodal.demo.answers import JOBS, NOWHERE, Answers, Focus, Kind, Touch, View
from amodal.demo.guard import Guard, own_names
from amodal.demo.session import MOST_BYTES, MOST_PIXELS, SCORE_THRESHOLD
from amodal.demo.shelf import IDLE, Shelf
from amodal.errors import UserError
from amodal.inference.predictor import Predictor

SHOW: dict[Kind, str] = {"both": "Visible and invisible", "visible": "Visible only", "invisible": "Invisible only"}
TOUCH: dict[Touch, str] = {"peel": "Peels an object", "box": "Marks a corner of a box"}
COLUMNS = ["#", "object", "score", "occluded", "from the front", "pixels"]
NAMED = 24
"""Categories that the page lists, of those that the model knows."""
MOST_WAITING = 60
"""Requests in the queue; a session's own parts send one or two."""
MOST_OF_ONE_ADDRESS = MOST_WAITING // 2
"""Of them. A session costs nothing, an address does; behind a proxy that does not say whose request it forwards, all
people have one."""
MOST_SESSIONS = 500
"""Of which Gradio remembers the state of its parts: some 100 kB each."""
SWEEPS = 15.0
"""Seconds between two looks for pictures that nobody touches."""
HELP = (
    "Upload a picture or take an example. The **visible** part of an object is tinted, its **invisible** one hatched. "
    "**Click an object** to peel away what covers it; click again to put it back. Or have clicks mark two corners of a "
    "box around a thing: what lies in it is made whole.\n\n"
    f"Pictures may have {MOST_BYTES // 2**20} MB and {MOST_PIXELS // 10**6} million pixels, and are let go after "
    f"{IDLE // 60} minutes. This model knows "
)
COLOURS = (
    "The **shape** of a peeled object's invisible part is what the model infers; its flat **colours** are spread from "
    "the visible part, and are no photograph of what is there. *Invisible only* shows that part alone."
)
LAYOUT = """
#page { gap: var(--layout-gap); }
#page > .column { min-width: 0 !important; }
@media (min-width: 900px) {
  #page { display: grid; grid-template: auto 1fr / minmax(300px, 1fr) 2fr; align-items: start; }
  #given { grid-column: 1; grid-row: 1; }
  #settings { grid-column: 1; grid-row: 2; }
  #found { grid-column: 2; grid-row: 1 / span 2; }
}
@media (max-width: 899px) { #page { flex-direction: column; } #page > .column { width: 100%; } }
"""
"""On a phone one below the other, in the order of the page: the result right under the picture."""


def build(answers: Answers, examples: list[Path]) -> gr.Blocks:
    """The page, with `examples` as pictures to try."""
    with gr.Blocks(analytics_enabled=False, title="amodal") as page:
        focus = gr.State(NOWHERE)
        gr.Markdown(f"# What is behind?\n{HELP}{known(answers.predictor)}.")
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="given"):
                upload = gr.Image(type="filepath", sources=["upload", "clipboard"], label="Picture", elem_id="upload")
            with gr.Column(elem_id="found"):
                picture = gr.Image(
                    label="Click an object",
                    interactive=False,
                    format="png",
                    buttons=["download", "fullscreen"],
                    elem_id="picture",
                )
                gr.Markdown(COLOURS)
                table = gr.Dataframe(headers=COLUMNS, interactive=False, label="Objects", elem_id="table")
                with gr.Row():
                    coco = gr.DownloadButton("COCO JSON", interactive=False, elem_id="coco")
                    cut_outs = gr.DownloadButton("Cut-outs (ZIP)", interactive=False, elem_id="cut-outs")
            with gr.Column(elem_id="settings"):
                score = gr.Slider(SCORE_THRESHOLD, 0.95, 0.5, step=0.05, label="Score threshold", elem_id="score")
                show = gr.Radio([(text, key) for key, text in SHOW.items()], value="both", label="Show", elem_id="show")
                touch = gr.Radio(
                    [(text, key) for key, text in TOUCH.items()], value="peel", label="A click", elem_id="touch"
                )
                gr.Examples([str(path) for path in examples], upload, label="Examples")
        # Gradio would decode an upload before any limit is looked at, and answer a broken one in its own words.
        upload.preprocess = _path_of  # type: ignore[method-assign]

        def click(
            least: float, kind: Kind, how: Touch, before: Focus, request: gr.Request, event: gr.SelectData
        ) -> tuple[Any, ...]:
            return answers.click(View(least, kind, how, *before), event.index, request)

        outputs = [picture, table, coco, cut_outs]
        # One queue for all that computes: Gradio tells everybody's place in it.
        job: dict[str, Any] = {"concurrency_id": "jobs", "concurrency_limit": JOBS, "api_visibility": "private"}
        upload.change(answers.look, [upload, score, show], [focus, *outputs], **job)
        score.release(answers.change, [score, show, focus], outputs, **job)
        show.change(answers.change, [score, show, focus], outputs, **job)
        picture.select(click, [score, show, touch, focus], [focus, *outputs], **job)
        page.unload(answers.leave)
    return page


def known(predictor: Predictor) -> str:
    """What the model can find, in words."""
    names = [category.name for category in predictor.categories]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


@contextmanager
def serving(
    predictor: Predictor, host: str = "127.0.0.1", port: int = 7860, allow_hosts: Iterable[str] = ()
) -> Iterator[str]:
    """Serves the page while the `with` block runs; gives its address.

    Args:
        predictor: The model.
        host: Address to listen on; the default one is reached from this machine only.
        port: Port to listen on; 0 takes any free one.
        allow_hosts: Names, beside the machine's own, under which people reach the page.

    Raises:
        UserError: The port is taken.
    """
    shelf, done = Shelf(), threading.Event()
    with _own_folder() as folder:
        page = build(Answers(predictor, folder, shelf), write_examples(folder / "examples"))
        page.queue(max_size=MOST_WAITING, api_open=False, default_concurrency_limit=JOBS)
        names = own_names(host, allow_hosts)
        guard = Middleware(Guard, names=names, waiting=partial(_waiting, page), most_waiting=MOST_OF_ONE_ADDRESS)
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port or None,
                share=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=MOST_BYTES,
                state_session_capacity=MOST_SESSIONS,
                allowed_paths=[str(folder)],
                app_kwargs={"middleware": [guard]},
                footer_links=[],
                theme=themes.Soft(),
                css=LAYOUT,
            )
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port} ({error})", remedy="Give another --port") from error
        kept = page.keep_in_cache  # the examples
        sweeper = threading.Thread(target=_sweep, args=(shelf, folder / "files", kept, done), daemon=True)
        sweeper.start()
        try:
            yield address
        finally:
            done.set()
            page.close()
            sweeper.join()


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for everything of one page; `files` in it is where Gradio puts uploads, and copies of what it shows."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="amodal-page-", ignore_cleanup_errors=True) as name:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(name) / "files")
        try:
            yield Path(name)
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _waiting(page: gr.Blocks, address: str) -> int:
    """Requests of an address that wait in the page's queue."""
    events = [event for line in page._queue.event_queue_per_concurrency_id.values() for event in list(line.queue)]
    return sum(event.request.client is not None and event.request.client.host == address for event in events)


def _sweep(shelf: Shelf, files: Path, kept: Collection[str], done: threading.Event) -> None:
    while not done.wait(SWEEPS):
        shelf.sweep()
        remove_old(files, kept)


def remove_old(files: Path, kept: Collection[str]) -> None:
    """Removes files that were written long enough ago for nobody to look at them any more.

    Gradio has such a thing (`delete_cache`), which stops for good when an upload comes while it looks around.
    """
    for path in sorted(files.rglob("*"), reverse=True):
        with suppress(OSError):  # a folder that is not empty
            if str(path) not in kept and time() - path.stat().st_mtime > 2 * IDLE:
                path.rmdir() if path.is_dir() else path.unlink()


def write_examples(folder: Path) -> list[Path]:
    """The package's photographs, to try the page with: copies, since the page shows files of its own folder alone."""
    folder.mkdir(parents=True)
    return [Path(shutil.copy(picture, folder)) for picture in samples.pictures()]


def _path_of(upload: ImageData | None) -> str | None:
    return None if upload is None else upload.path
