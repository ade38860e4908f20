"""An uploaded picture, read in a process of its own: whatever a hostile file does ends with it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from amodal.errors import UserError
from amodal.pictures import image_size, read_image

SECONDS = 60
"""A picture of the most pixels takes 2 s; a busy machine may need more."""
MEMORY = 2 * 2**30
"""Bytes of addresses: the interpreter, and three copies of a picture of the most pixels."""
UNREADABLE, TOO_LARGE = 4, 5
"""Exit statuses."""


def decode(path: Path, most_pixels: int, side: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, upright, its longer side no more than `side`.

    Raises:
        UserError: It is no picture, has more pixels than are taken, or needs too much time or memory. The words name no
            file: whoever reads them is somewhere else.
    """
    limits = [str(number) for number in (most_pixels, side, MEMORY)]
    command = [sys.executable, "-m", "amodal.demo.decoding", str(path), *limits]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # each thread would reserve addresses of its own
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False, env=alone
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"The picture takes longer than {SECONDS} s to read", remedy="Save it as a JPEG") from error
    if answer.returncode == TOO_LARGE:
        raise UserError(
            f"The picture has {int(answer.stdout):,} pixels", remedy=f"At most {most_pixels:,} are taken: shrink it"
        )
    if answer.returncode:  # its own words; or none, where it broke
        said = answer.stdout.decode(errors="replace").strip() if answer.returncode == UNREADABLE else ""
        if not said or str(path.parent) in said:
            said = "The picture cannot be read here"
        raise UserError(said, remedy="Give a JPEG, PNG or WebP")
    return np.load(io.BytesIO(answer.stdout), allow_pickle=False)


def main(path: str, most_pixels: int, side: int, memory: int) -> int:
    """What the process does: the pixels, as a NumPy file, on standard output. Gives the exit status."""
    _limit_memory(memory)
    try:
        height, width = image_size(path)
        if width * height > most_pixels:
            print(width * height)
            return TOO_LARGE
        pixels = read_image(path)
    except UserError as error:
        print(error.problem)
        return UNREADABLE
    scale = side / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    whole = io.BytesIO()
    np.save(whole, pixels)
    sys.stdout.buffer.write(whole.getbuffer())
    return 0


def _limit_memory(num_bytes: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(int(number) for number in sys.argv[2:])))
