"""A data set of photographs with occlusion composed as they are read."""

from amodal.annotations import Category
from amodal.data.dataset import Sample
from amodal.data.synthetic import sample_of
from amodal.errors import UserError
from amodal.synthesis.covering import CoveredSeries


class CoveredPhotographs:
    """The scenes of a series as samples.

    Args:
        series: What is covered, and by what.
        count: How many scenes there are. None: as many as one asks for, and no length.
    """

    def __init__(self, series: CoveredSeries, *, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise UserError(f"{count} scenes are no data set", remedy="Give a count of 1 or more")
        self.series, self.count = series, count
        named = zip(series.category_ids, series.photographs.categories, strict=True)
        self.categories = [Category(number, name) for number, name in named]

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("scenes without a count have no length")
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(index)
        return sample_of(self.series.scene(index), index)
