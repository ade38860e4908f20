"""Models on the Hugging Face hub: `amodal.load("hf://USER/MODEL")`, and putting one there."""

import json
import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from amodal.errors import UserError
from amodal.files import parse_json, read_json, require_file

FILE = "model.safetensors"
PATIENCE = 5.0
"""Seconds within which the hub must answer."""
UNREACHABLE = "the hub cannot be reached"
_ADDRESS = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def download(address: str) -> Path:
    """The checkpoint at `hf://USER/MODEL` or `hf://USER/MODEL@REVISION`, from the local cache if it is there.

    Raises:
        UserError: The address is none, the hub has no such model, or it cannot be reached.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"'{address}' is no address on the hub", remedy="Write hf://USER/MODEL")
    hub = _hub()
    offline = not is_reachable(hub.constants.ENDPOINT)
    try:
        with _silence():
            found = hub.hf_hub_download(match["repository"], FILE, revision=match["revision"], local_files_only=offline)
    except Exception as error:  # the library's own, and those of the one that it asks the network with
        problem = UNREACHABLE if offline else f"could not be downloaded ({_first_line(error)})"
        remedy = "Check the connection" if offline else "Check the name; private models need a token"
        raise UserError(problem, file=address, remedy=remedy) from error
    return Path(found)


def push_to_hub(
    checkpoint: str | Path, repository: str, *, report: str | Path | None = None, private: bool = False
) -> str:
    """Puts a checkpoint on the hub with a card made of what the checkpoint says of itself.

    Args:
        checkpoint: A checkpoint that `amodal train` wrote.
        repository: USER/MODEL, with or without hf://; made if it is not there.
        report: The JSON of `amodal evaluate --out`: its numbers are put on the card.
        private: Whether a new repository is hidden from others.

    Returns:
        The address to load it by.

    Raises:
        UserError: The file is no checkpoint, the name is no name, or the hub refuses.
    """
    repository = repository.removeprefix("hf://")
    if _ADDRESS.fullmatch(f"hf://{repository}") is None or "@" in repository:
        raise UserError(f"'{repository}' is no name on the hub", remedy="Write USER/MODEL")
    card = model_card(checkpoint, repository, report)
    hub = _hub()
    api = hub.HfApi()
    if not is_reachable(hub.constants.ENDPOINT):
        raise UserError(UNREACHABLE, file=repository, remedy="Check the connection")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_file(path_or_fileobj=str(checkpoint), path_in_repo=FILE, repo_id=repository)
        api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repository)
    except Exception as error:  # the library's own, and those of the one that it asks the network with
        problem = f"the hub refuses it ({_first_line(error)})"
        raise UserError(problem, file=repository, remedy="Log in with `hf auth login`, or set HF_TOKEN") from error
    return f"hf://{repository}"


def model_card(checkpoint: str | Path, repository: str, report: str | Path | None = None) -> str:
    """A README for the model, from what its file says of itself and from a report. Raises UserError."""
    about = _about(checkpoint)
    config, details = about["config"], about["details"]
    facts = {
        "Method": config["method"],
        "Backbone": config["backbone"]["name"],
        "Shorter side of images": ", ".join(map(str, config["detector"]["min_size"])) + " pixels",
        "Categories": ", ".join(category["name"] for category in about["categories"]),
        **{name: value for name, value in details.items() if isinstance(value, str | int | float)},
        **_training(details.get("training") or {}),
    }
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items())
    return f"""---
library_name: amodal
pipeline_tag: image-segmentation
tags: [amodal-segmentation, instance-segmentation]
---

# {repository}

Amodal instance segmentation: the visible mask of every object, and its whole mask behind what covers it.

```python
import amodal

predictor = amodal.load("hf://{repository}")
predictor.predict("photograph.jpg").draw("photograph.jpg").save("seen.png")
```

| | |
|---|---|
{rows}
{_scores(report) if report else ""}"""


def _about(checkpoint: str | Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    path = require_file(checkpoint, remedy="Give a model.safetensors that `amodal train` wrote")
    try:
        with safe_open(path, "np") as file:
            return parse_json((file.metadata() or {})["about"], file=path)
    except (SafetensorError, KeyError) as error:
        raise UserError("is no checkpoint", file=path, remedy="Give one that `amodal train` wrote") from error


def _training(settings: dict[str, Any]) -> dict[str, object]:
    """What the run's settings say of its data: names of files without the folders of the machine that it ran on."""
    facts = {name: settings[name] for name in ("recipe", "seed", "batch_size") if name in settings}
    source = settings.get("data", {}).get("train", {})
    if "cutouts" in source:
        facts["Trained on"] = f"scenes composed of cut-outs ({Path(source['cutouts']).name})"
    elif "annotations" in source:
        facts["Trained on"] = ", ".join(Path(path).name for path in source["annotations"])
    return facts


def _scores(path: str | Path) -> str:
    """A report of `amodal evaluate` as a table."""
    from amodal.evaluation.report import Report, percent

    report = Report.from_json(read_json(path), file=str(path))
    kinds = {"boxes": report.box, "amodal masks": report.amodal, "visible masks": report.visible}
    rows = [
        f"| {name} | {percent(found.ap)} | {percent(found.ap50)} | {percent(found.ap75)} | {percent(found.ar100)} |"
        for name, found in kinds.items()
        if found is not None
    ]
    of = f"On {report.counts.images:,} images with {report.counts.instances:,} objects"
    occluded = f"AP of the {report.counts.occluded:,} occluded ones (at least 15 % hidden): "
    return "\n".join(
        [
            "",
            "## Measured",
            "",
            f"{of}, in percent. {occluded}{percent(report.ap_occluded())}.",
            "",
            "| | AP | AP50 | AP75 | AR100 |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.split()).replace("|", "\\|")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def is_reachable(endpoint: str) -> bool:
    """Whether the hub's address answers within `PATIENCE`; libraries would try for much longer, with warnings."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    if getproxies():  # the way out leads through another machine: only trying tells
        return True
    address = urlsplit(endpoint)
    answers: Queue[bool] = Queue()

    def knock() -> None:
        port = address.port or (80 if address.scheme == "http" else 443)
        try:
            socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
        except OSError:
            answers.put(False)
        else:
            answers.put(True)

    Thread(target=knock, daemon=True).start()  # looking up a name knows no time limit
    try:
        return answers.get(timeout=PATIENCE)
    except Empty:
        return False


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the library's warnings from the user: what matters in them comes as an error."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise UserError("huggingface_hub is not installed", remedy="pip install 'amodal[hub]'") from error
    return huggingface_hub
