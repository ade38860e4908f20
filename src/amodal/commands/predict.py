"""`amodal predict`: pictures, and results as JSON, of anybody's images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.arguments import COUNT, SHARE
from amodal.commands.declared import READS, WRITES_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from amodal.errors import UserError
    from amodal.inference.folder import ResultFolder
    from amodal.inference.ledger import Planned
    from amodal.inference.predictor import Predictor
    from amodal.scale.shards import Existing

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")


@dataclass(frozen=True)
class How:
    """What is looked for and drawn."""

    score: Annotated[float, SHARE] = 0.5
    """Objects that score less are left out."""
    show: Literal["both", "visible", "invisible"] = "both"
    """Visible and invisible parts, or one of them."""
    max_frames: Annotated[int | None, COUNT] = None
    """Stop after so many frames of a video or camera."""
    device: str | None = None
    """cpu, cuda or cuda:1; a GPU where there is one by default."""
    ray: str | None = None
    """Work on a Ray cluster: local (this machine), auto (the one it belongs to) or HOST:PORT. Nothing is drawn; results
    are Parquet shards, which `amodal join` makes COCO results of. Images may also be lists (.txt), Parquet files,
    WebDataset archives (.tar), and addresses such as s3://BUCKET/FOLDER."""


def predict(
    images: Annotated[tuple[str, ...], tyro.conf.Positional, READS],
    *,
    model: Annotated[str | None, READS] = None,
    out: Annotated[Path, WRITES_IN] = Path("predictions"),
    how: Annotated[How, tyro.conf.arg(name="")] = How(),
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Finds the objects in photographs, videos and before cameras: the visible part of each, and the whole of it.

    For each image a picture is written, for each video a video: the visible part of an object is tinted, the invisible
    of it is hatched. `predictions.json` holds the same as COCO results, `images.json` the ids of images and
    categories in it, and `sheet.jpg` shows the first pictures together. A camera is watched until Ctrl+C.

    Pictures appear as they are done. An image that fails is named, and the others are done; the exit status is 2 then.
    A run that was stopped or killed goes on with `--resume`, which also adds new images.

    Args:
        images: Images, videos, folders of images; or camera, camera:1, /dev/video0, rtsp://... A checkpoint or .onnx
            file may stand before them in place of --model.
        model: A checkpoint, an exported .onnx model, hf://USER/MODEL, or the name of a model in the package, which is
            "photos" and the default; or coco, torchvision's Mask R-CNN for COCO's categories, downloaded on first use.
        out: Folder to write to.
        how: What is looked for and drawn.
        resume: Keep the results that are there, and do what is missing.
        overwrite: Replace the results that are there.
    """
    from amodal.errors import Stopped, UserError, signal_of
    from amodal.folder_lock import locked
    from amodal.inference.folder import ResultFolder
    from amodal.inference.predictor import load_detector

    if resume and overwrite:
        raise UserError("--resume keeps what --overwrite replaces", remedy="Give one of them")
    model, sources = _model_and_sources(model, images)
    if how.ray is not None:
        _predict_shards(model, sources, out, how, "resume" if resume else "replace" if overwrite else "refuse")
        return
    cameras, files = _cameras_and_files(sources)
    if cameras:
        _watch(cameras[0], out / "camera.mp4", model, how)
        return
    found = _sorted_out(files, out)
    predictor = load_detector(model, how.device)
    with locked(out):
        folder = ResultFolder(out, predictor.categories, {"model": model, "score": how.score, "show": how.show})
        planned = folder.plan(found, resume=resume, anew=overwrite)
        try:
            with folder:
                failures = _predict_all(predictor, planned, folder, how)
        except KeyboardInterrupt as interruption:
            raise Stopped(signal_of(interruption), f"what is done is in {out}", resumable=True) from None
    _tell(folder, predictor, how.score)
    if len(planned) == 1 and failures:
        raise failures[0]
    done = len(planned) - len(failures)
    nothing = "Nothing new is written" if folder.num_images else "Nothing is written"
    written = f"The other {done:,} are in {out}" if done else nothing
    _require_none_failed(len(failures), done, f"{written}; --resume tries the failed ones again")


def _predict_shards(model: str, sources: tuple[str, ...], out: Path, how: How, existing: "Existing") -> None:
    """Predicts on a cluster; pictures that failed are told as without one, but all at the end."""
    import sys

    from amodal.errors import Stopped, UserError, signal_of
    from amodal.scale.prediction import Prediction, predict, tally
    from amodal.scale.shards import ShardFolder
    from amodal.scale.work import Cluster

    task, cluster, shards = Prediction(model, how.score), Cluster(how.ray or "local", how.device), ShardFolder(out)
    try:
        predict(task, sources, shards, cluster=cluster, existing=existing)
        found = tally(shards)
    except KeyboardInterrupt as interruption:
        raise Stopped(signal_of(interruption), f"what is done is in {out}", resumable=True) from None
    joining = f"amodal join {out} --out results.json --images images.json"
    print(f"{out}: all shards are there; `{joining}` makes COCO results of them")
    if found.failed == 1 and not found.images:
        raise UserError(found.named[0])
    for line in found.lines():
        print(f"amodal: {line}", file=sys.stderr)
    _require_none_failed(found.failed, found.images, f"The other {found.images:,} are in {out}, and these as errors")


def _require_none_failed(failed: int, done: int, remedy: str) -> None:
    """Raises UserError where files failed, each of which has been named."""
    from amodal.errors import UserError

    if failed:
        raise UserError(f"{failed:,} of {failed + done:,} files failed, as said above", remedy=remedy)


def _model_and_sources(model: str | None, given: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The model, which may stand first among the images, and the images."""
    from amodal.errors import UserError
    from amodal.inference.model_files import is_model

    is_first = bool(given) and is_model(given[0])
    if is_first and model is not None:
        raise UserError(f"two models given, {model} and {given[0]}", remedy="Give one")
    model, sources = (given[0], given[1:]) if is_first else (model or "photos", given)
    if not sources:
        raise UserError("no images given", remedy="amodal predict [MODEL] IMAGE_OR_FOLDER ...")
    return model, sources


def _cameras_and_files(sources: tuple[str, ...]) -> tuple[list[str], list[Path]]:
    from amodal.errors import UserError
    from amodal.video.camera import has_picture_suffix, is_live

    cameras = [source for source in sources if is_live(source) and not Path(source).is_file()]
    if pictures := [camera for camera in cameras if has_picture_suffix(camera)]:
        remedy = "Download it; or give a text file of addresses, one a line, and --ray"
        raise UserError(f"{pictures[0]} is a picture and no stream", remedy=remedy)
    if cameras and len(sources) > 1:
        raise UserError(f"{cameras[0]} goes on until it is stopped", remedy="Give it alone")
    return cameras, [Path(source) for source in sources if source not in cameras]


def _sorted_out(paths: list[Path], out: Path) -> list[tuple[Path, str]]:
    """Images and videos, each with the ending of what is drawn; folders replaced by the images in them.

    What lies in `out` is passed over: pictures that an earlier run drew are no photographs.
    """
    from amodal.errors import UserError
    from amodal.files import require_file
    from amodal.pictures import find_images

    found: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            if path.resolve() == out.resolve():
                raise UserError("is the folder that is read", file=out, remedy="Choose another --out")
            inside = [image for image in find_images([path]) if out.resolve() not in image.resolve().parents]
            found += [(image, ".jpg") for image in inside]
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            found.append((require_file(path), ".mp4"))
        else:
            found += [(image, ".jpg") for image in find_images([path])]
    if not found:
        raise UserError(f"no images but those in {out}", remedy="Give an image file or a folder of images")
    return found


def _watch(camera: str, target: Path, model: str, how: How) -> None:
    """Writes the video of a camera."""
    from amodal.drawing.render import Style
    from amodal.inference.predictor import load_detector
    from amodal.outputs import claim
    from amodal.video.camera import predict_camera
    from amodal.video.predict import Painter

    claim([target])
    painter = Painter(load_detector(model, how.device), how.score, Style(show=how.show))
    print(f"{predict_camera(painter, camera, target, max_frames=how.max_frames):,} frames: {target}")


def _predict_all(
    predictor: "Predictor", planned: "list[Planned]", folder: "ResultFolder", how: How
) -> "list[UserError]":
    """Writes what was found in each file; gives what failed, which it also says as it comes to it."""
    import sys

    from tqdm import tqdm

    failures: list[UserError] = []
    for one in tqdm(planned, unit="file"):
        try:
            write = _predicted(predictor, one, folder, how)
        except Exception as error:  # whatever a file brings about, it is that file's failure and not the next one's
            failures.append(_failure(one.source, error))
            if len(planned) > 1:
                tqdm.write(f"amodal: {failures[-1]}", file=sys.stderr)
            continue
        write()
    return failures


def _predicted(predictor: "Predictor", one: "Planned", folder: "ResultFolder", how: How) -> "Callable[[], None]":
    """What is found in a file, as that which writes it: a failure to write is no fault of the file."""
    from amodal.drawing.render import Style
    from amodal.pixels import as_pixels
    from amodal.video.predict import Painter, predict_video

    style = Style(show=how.show)
    if one.target.endswith(".mp4"):
        painter = Painter(predictor, how.score, style)  # new colours for new objects
        frames = predict_video(painter, one.source, folder.folder / one.target, max_frames=how.max_frames)
        print(f"{frames:,} frames: {folder.folder / one.target}")
        return lambda: folder.add_video(one, frames)
    pixels = as_pixels(one.source)
    result = predictor.predict(pixels, score_threshold=how.score)
    picture = result.draw(pixels, style)
    return lambda: folder.add(one, picture, result)


def _failure(source: Path, error: Exception) -> "UserError":
    """The error with the name of the file that it came of."""
    from amodal.errors import UserError

    if isinstance(error, UserError):
        return error if str(source) in str(error) else UserError(str(error), file=source)
    if isinstance(error, MemoryError):
        return UserError("is too large for the memory that is left", file=source, remedy="Give a smaller one")
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return UserError(f"cannot be predicted ({said})", file=source, remedy="Replace or remove it")


def _tell(folder: "ResultFolder", predictor: "Predictor", score: float) -> None:
    """Says what the folder holds now."""
    if folder.num_images:
        print(f"{_so_many(folder.num_objects, 'object')} in {_so_many(folder.num_images, 'image')}: {folder.folder}")
        print(f"pictures together: {folder.sheet_path}")
    if folder.num_images and not folder.num_objects:
        names = ", ".join(category.name for category in predictor.categories[:8])
        print(f"nothing scores {score:g} or more: try a lower --score, if {names} ... are what the pictures show")


def _so_many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
