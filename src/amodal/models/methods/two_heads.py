"""Two heads: an amodal and a visible mask head on the same region features, and nothing that ties them.

The plainest method that predicts both masks: what ORCNN and VRSP add is measured against it.
"""

from torch import Tensor

from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.regions import BatchTruth, RegionPooler, Regions


class TwoHeads(MaskBranch):
    """Two heads, a loss each."""

    learns_visible_alone = True

    def __init__(self, pool: RegionPooler, amodal_head: MaskHead, visible_head: MaskHead) -> None:
        super().__init__()
        self.pool, self.amodal_head, self.visible_head = pool, amodal_head, visible_head

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """`loss_amodal` and `loss_visible`: binary cross-entropy of the own class's masks."""
        pooled = self.pool(features, regions)
        amodal, visible = (head(pooled).own_class(regions.labels) for head in (self.amodal_head, self.visible_head))
        crops = truth.crop(regions, amodal.shape[-1])
        return {
            "loss_amodal": mask_loss(amodal, crops.amodal, crops.exact),
            "loss_visible": mask_loss(visible, crops.visible),
        }

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Amodal and visible masks."""
        pooled, labels = self.pool(features, regions), regions.labels
        amodal, visible = (head.own_class(pooled, labels) for head in (self.amodal_head, self.visible_head))
        return RegionMasks(amodal=amodal.sigmoid(), visible=visible.sigmoid())
