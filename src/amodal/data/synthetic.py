"""A data set of scenes that are composed as they are read."""

from collections.abc import Sequence

import torch

from amodal.annotations import Category
from amodal.data.dataset import Sample
from amodal.errors import UserError
from amodal.instances import Target
from amodal.synthesis.composition import Scene
from amodal.synthesis.scene_files import Series


class ComposedScenes:
    """The scenes of a series as samples: each the same whenever and in whichever process it is asked for.

    Args:
        series: Cut-outs over backgrounds, or covered photographs.
        names: Of its categories, by label.
        count: How many scenes there are. None: as many as one asks for, and no length.
    """

    def __init__(self, series: Series, names: Sequence[str], *, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise UserError(f"{count} scenes are no data set", remedy="Give a count of 1 or more")
        self.series, self.count = series, count
        self.categories = [Category(i, name) for i, name in zip(series.category_ids, names, strict=True)]

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("scenes without a count have no length")
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(index)
        return sample_of(self.series.scene(index), index)


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
