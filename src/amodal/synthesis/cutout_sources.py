"""Cut-outs by what a user writes."""

from amodal.synthesis.config import Split
from amodal.synthesis.cutouts import CutOutSource, FolderCutOuts
from amodal.synthesis.shapes import DrawnCutOuts


def open_cutouts(where: str, split: Split = "all", train_share: float = 0.75) -> CutOutSource:
    """Cut-outs by what a user writes, `drawn` or a folder. Raises UserError for anything else.

    (An annotation file is read first: `amodal.synthesis.annotated.AnnotatedCutOuts`.)
    """
    if where == "drawn":
        return DrawnCutOuts(split, train_share)
    return FolderCutOuts(where, split, train_share)
