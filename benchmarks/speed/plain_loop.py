"""How scenes are commonly composed: a straightforward loop over objects with Pillow and NumPy, whole images throughout.

The rival of `benchmarks.speed.synthesis`. It makes what `amodal.synthesis.composition.compose` makes of the same files
(image, amodal and visible masks, boxes, labels), and is spared its wishes: an object lies where it falls.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from amodal.synthesis.config import SceneConfig


def compose(
    cutouts: list[list[Path]],
    backgrounds: list[Path],
    config: SceneConfig,
    rng: np.random.Generator,
    read: Callable[[Path], Image.Image] = Image.open,
) -> dict[str, Any]:
    """A scene; objects from the back to the front. `cutouts` are files by category; `read` may know them already."""
    height, width = config.size
    background = read(backgrounds[rng.integers(len(backgrounds))]).convert("RGB").resize((width, height))
    image = np.asarray(background, dtype=np.float32)
    masks, labels = [], []
    for _ in range(config.num_objects[1]):
        label = int(rng.integers(len(cutouts)))
        files = cutouts[label]
        sprite = posed(read(files[rng.integers(len(files))]).convert("RGBA"), config, rng)
        layer = Image.new("RGBA", (width, height))
        layer.paste(
            sprite, (int(rng.integers(width - sprite.width // 2)), int(rng.integers(height - sprite.height // 2)))
        )
        pixels = np.asarray(layer, dtype=np.float32)
        alpha = pixels[..., 3:] / 255
        if config.shadow:
            soft = layer.getchannel("A").filter(ImageFilter.GaussianBlur(min(sprite.size) / 16))
            image = image * (1 - config.shadow * np.asarray(soft, dtype=np.float32)[..., None] / 255)
        image = pixels[..., :3] * alpha + image * (1 - alpha)
        masks.append(pixels[..., 3] >= 128)
        labels.append(label + 1)
    amodal = np.stack(masks[::-1])
    visible = amodal.copy()
    for i in range(1, len(amodal)):
        visible[i] &= ~amodal[:i].any(axis=0)
    boxes = np.array([box(mask) for mask in amodal], dtype=np.float32)
    return {
        "image": image.round().astype(np.uint8),
        "amodal": amodal,
        "visible": visible,
        "boxes": boxes,
        "labels": np.array(labels[::-1]),
    }


def posed(image: Image.Image, config: SceneConfig, rng: np.random.Generator) -> Image.Image:
    """A cut-out scaled, perhaps mirrored, turned and made brighter or darker."""
    scale = rng.uniform(*config.scale) * min(config.size) / max(image.size)
    image = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    if rng.random() < config.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(rng.uniform(-config.rotation, config.rotation), Image.Resampling.BICUBIC, expand=True)
    return ImageEnhance.Brightness(image).enhance(1 + rng.uniform(-config.brightness, config.brightness))


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The xyxy box of a mask (H, W); zeros if it is empty."""
    y, x = np.nonzero(mask)
    return (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1) if len(x) else (0, 0, 0, 0)
