"""Where samples come from, as settings."""

from dataclasses import dataclass, field

from amodal.synthesis.config import OcclusionConfig, SceneConfig, Split


@dataclass(frozen=True)
class FileSource:
    """Annotated images on disk, in any format that `amodal.read` reads."""

    annotations: tuple[str, ...]
    """Annotation files; several are read as one data set and must list the same categories. Or WebDataset's shards, by
    their paths or addresses: `shard-{000..099}.tar`, `s3://BUCKET/shards`."""
    images: str | None = None
    """The image folder, or archives (.tar) that hold the images. None looks for it near the annotations."""
    keep_empty: bool = True
    """Whether images without objects take part: a detector learns from them what is background."""
    keep_stuff: bool = False
    """Whether regions marked as stuff (COCOA) count as objects."""
    cache: str | None = None
    """A folder on the machine's own disk: annotations are kept there in a file that all processes of the machine map
    into memory, in place of a copy in each. For millions of objects."""


@dataclass(frozen=True)
class SceneSource:
    """Scenes composed when they are asked for."""

    cutouts: str = "drawn"
    """`drawn`, a folder of cut-outs `<category>/<object>/*.png`, or an annotation file (.json) whose objects are cut
    out."""
    backgrounds: str = "drawn"
    """`drawn`, `plain`, or a folder of photographs."""
    split: Split = "all"
    """Which objects and backgrounds: the first three quarters of each train, the others validate."""
    scenes: SceneConfig = field(default_factory=SceneConfig)
    """How a scene is composed."""
    count: int | None = None
    """How many scenes there are. None composes a new one every time."""
    seed: int = 0
    """The same seed gives the same scenes."""


@dataclass(frozen=True)
class PhotographSource:
    """Annotated photographs, over which cut-outs of other photographs are laid when they are asked for."""

    photographs: str
    """Annotations of photographs with masks of what is visible, in any format that `amodal.read` reads."""
    images: str | None = None
    """The image folder. None looks for it near the annotations."""
    categories: tuple[str, ...] = ()
    """Names of the categories that count; objects of others are background. None given: all."""
    merged: str | None = None
    """All of them count as one category of this name, for a model that is to know any object."""
    side: int = 256
    """Longer side of a photograph, in pixels."""
    repeat_threshold: float = 0.0
    """Photographs of a category that fewer than this share of them show come more often, by the root of how much fewer
    (Gupta et al. 2019, LVIS); 0 repeats none."""
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    """How things are covered."""
    count: int | None = None
    """How many scenes there are. None composes a new one every time."""
    seed: int = 0
    """The same seed gives the same scenes."""
    group: int = 1
    """So many consecutive scenes show photographs that are all wide or all upright: batches need little padding."""


Source = FileSource | SceneSource | PhotographSource
"""Any of the places that samples come from."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training samples."""

    flip: float = 0.5
    """Probability that a sample is mirrored left to right."""
    zoom: tuple[float, float] | None = None
    """Range of a random zoom: the image is scaled so and cropped or padded to its own size. (The detector's
    choice of short sides is apart from this: `DetectorConfig.min_size`.)"""
    colour: float = 0.0
    """Brightness, contrast and saturation are each changed by a random factor: 0.4 is one between 0.6 and 1.4."""


@dataclass(frozen=True)
class DataConfig:
    """What a run trains and validates on."""

    train: Source
    """Where training samples come from."""
    val: Source | None = None
    """Where validation samples come from; None does not validate."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Random changes to training samples."""
