"""`amodal demo`: a web page on which to try a model."""

import sys
from threading import Event
from typing import Annotated

import tyro

from amodal.commands.declared import READS, Within


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
    from amodal.errors import UserError
    from amodal.inference.predictor import load

    _say("loading what makes the page")
    try:
        from amodal.demo.page import serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("gradio is not installed, which makes the page", remedy="pip install 'amodal[page]'") from error

    _say("loading the model")
    predictor = load(checkpoint, device)
    _say("drawing examples and starting the server")
    with serving(predictor, host, port, allow_host) as address:
        print(f"the page: {address} (Ctrl+C stops it)", flush=True)
        Event().wait()


def _say(words: str) -> None:
    """Starting takes some seconds: what goes on, on standard error."""
    print(f"amodal: {words} ...", file=sys.stderr, flush=True)
