"""A data set of photographs with occlusion composed as they are read."""

from amodal.annotations import Category
from amodal.data.dataset import Sample
from amodal.data.synthetic import sample_of
from amodal.errors import UserError
from amodal.synthesis.composition import Scene, scene_rng
from amodal.synthesis.config import OcclusionConfig
from amodal.synthesis.cutouts import CutOutSource
from amodal.synthesis.photographs import Photographs, cover, photograph_of


class CoveredPhotographs:
    """Scene `index` of seed `seed`: a photograph, and what is laid over it; the same whenever it is asked for.

    Args:
        photographs: What is covered; its categories, in order, get the ids 1, 2, ...
        occluders: Cut-outs that cover.
        config: How things are covered.
        count: How many scenes there are. None: as many as one asks for, and no length.
        seed: Of all scenes.
        group: Consecutive scenes whose photographs are all wide or all upright.
    """

    def __init__(
        self,
        photographs: Photographs,
        occluders: CutOutSource,
        config: OcclusionConfig,
        *,
        count: int | None = None,
        seed: int = 0,
        group: int = 1,
    ) -> None:
        if count is not None and count < 1:
            raise UserError(f"{count} scenes are no data set", remedy="Give a count of 1 or more")
        self.photographs, self.occluders, self.config = photographs, occluders, config
        self.count, self.seed, self.group = count, seed, group
        self.categories = [Category(i, name) for i, name in enumerate(photographs.categories, start=1)]

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("scenes without a count have no length")
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(index)
        return sample_of(self.scene(index), index)

    def scene(self, index: int) -> Scene:
        """The scene itself, as arrays."""
        photograph = photograph_of(self.photographs, self.seed, index, self.group)
        return cover(photograph, self.occluders, self.photographs.label_of, self.config, scene_rng(self.seed, index))
