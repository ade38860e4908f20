"""A data set of scenes that are composed as they are read."""

import torch

from amodal.annotations import Category
from amodal.data.dataset import Sample
from amodal.errors import UserError
from amodal.instances import Target
from amodal.synthesis.backgrounds import Backgrounds
from amodal.synthesis.composition import Scene, compose, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutouts import CutOutSource


class ComposedScenes:
    """Scene `index` of seed `seed`: the same whenever and in whichever process it is asked for.

    Args:
        cutouts: Objects; its categories, in order, get the ids 1, 2, ...
        backgrounds: What lies behind them.
        config: How a scene is composed.
        count: How many scenes there are. None: as many as one asks for, and no length.
        seed: Of all scenes.
    """

    def __init__(
        self,
        cutouts: CutOutSource,
        backgrounds: Backgrounds,
        config: SceneConfig,
        *,
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        if count is not None and count < 1:
            raise UserError(f"{count} scenes are no data set", remedy="Give a count of 1 or more")
        self.cutouts, self.backgrounds, self.config = cutouts, backgrounds, config
        self.count, self.seed = count, seed
        self.categories = [Category(i, name) for i, name in enumerate(cutouts.categories, start=1)]

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("scenes without a count have no length")
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(index)
        return sample_of(compose(self.cutouts, self.backgrounds, self.config, scene_rng(self.seed, index)), index)


def sample_of(scene: Scene, index: int) -> Sample:
    """A scene as a sample; its image id is `index`."""
    target: Target = {
        "boxes": torch.from_numpy(scene.boxes),
        "labels": torch.from_numpy(scene.labels),
        "amodal_masks": torch.from_numpy(scene.amodal),
        "visible_masks": torch.from_numpy(scene.visible),
        "depth_order": torch.from_numpy(scene.depth_order),
    }
    if scene.exact is not None:
        target["exact"] = torch.from_numpy(scene.exact)
    return {"image": torch.from_numpy(scene.image.transpose(2, 0, 1).copy()), "target": target, "image_id": index}
