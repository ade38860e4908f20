"""`amodal demo`: a web page on which to try a model."""

from threading import Event
from typing import Annotated

import tyro

from amodal.arguments import Within
from amodal.commands.declared import READS


def demo(
    checkpoint: Annotated[str, tyro.conf.Positional, READS] = "photos",
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Within(0, 65535)] = 7860,
    allow_host: tuple[str, ...] = (),
    device: str | None = None,
) -> None:
    """Opens a web page to try a model on: upload a picture, see what is hidden, peel away what covers an object.

    The page is reached from this machine only, unless another host is given.

    Args:
        checkpoint: A checkpoint, an exported .onnx model, the name of a model in the package, or hf://USER/MODEL.
        host: Address to listen on: 0.0.0.0 lets the whole network in.
        port: Port to listen on; 0 takes any free one.
        allow_host: Names, beside this machine's own, under which others reach the page, as behind a proxy.
        device: cpu, cuda or cuda:1; a GPU where there is one by default.
    """
    from contextlib import ExitStack
    from functools import partial

    from amodal.errors import UserError
    from amodal.inference.predictor import Predictor, load
    from amodal.progress import announced

    try:
        with announced("loading what makes the page"):
            from amodal.demo.answers import JOBS
            from amodal.demo.model_processes import ModelProcesses
            from amodal.demo.page import serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("gradio is not installed, which makes the page", remedy="pip install 'amodal[page]'") from error

    with ExitStack() as open_until_stopped:
        with announced("loading the model"):
            model = open_until_stopped.enter_context(ModelProcesses(partial(load, checkpoint, device), JOBS))
        with announced("drawing examples and starting the server"):
            address = open_until_stopped.enter_context(serving(Predictor(model), host, port, allow_host))
        print(f"the page: {address} (Ctrl+C stops it)", flush=True)
        Event().wait()
