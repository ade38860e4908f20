"""`amodal export`: a checkpoint as an ONNX file."""

from pathlib import Path
from typing import Annotated

import tyro

from amodal.commands.declared import READS, WRITES


def export(
    checkpoint: Annotated[str, tyro.conf.Positional, READS],
    out: Annotated[Path, tyro.conf.Positional, WRITES],
    *,
    int8: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes a checkpoint as ONNX, for images of any size.

    `amodal predict OUT.onnx IMAGE` runs it with ONNX Runtime alone, without torch. The graph takes `image`, float32
    (3, H, W), RGB in [0, 1], and gives `boxes` (xyxy in its pixels), `labels` (from 1), `scores`, and the masks
    `amodal` and `visible` as probabilities over the boxes. The completer becomes a graph from crops to masks, which
    `amodal complete ANNOTATIONS OUT.onnx` runs.

    Args:
        checkpoint: A checkpoint, the name of a model in the package, or hf://USER/MODEL.
        out: The .onnx file to write.
        int8: Keep weights in 8 bits: about a third of the size, a little less exact.
        overwrite: Replace the file that is there.
    """
    from amodal.errors import UserError

    if out.suffix != ".onnx":
        raise UserError("an exported model's name ends in .onnx", file=out)
    from amodal.progress import announced

    with announced("loading what exports"):
        from amodal.completion import checkpoint as completion_checkpoint
        from amodal.completion.config import KIND
        from amodal.export.completer import export_completer
        from amodal.export.detector import export_onnx
        from amodal.export.int8 import to_int8
        from amodal.inference.model_files import EXPORTED, kind_of, model_file
        from amodal.models import checkpoint as model_checkpoint

    path = model_file(checkpoint)
    if path.suffix == EXPORTED:
        raise UserError("is exported already", file=checkpoint, remedy="Give a checkpoint")
    if kind_of(path) == KIND:
        completer = completion_checkpoint.load(path)
        with announced(f"tracing {checkpoint}"):
            export_completer(completer, out)
    else:
        with announced(f"loading {checkpoint}"):
            loaded = model_checkpoint.load(path)
        with announced(f"tracing {checkpoint}"):
            export_onnx(loaded.model, loaded.categories, out)
    if int8:
        with announced("rounding its weights to 8 bits"):
            to_int8(out, out)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MB")
