"""Who stands in front of whom, read off the masks."""

import numpy as np
from jaxtyping import Bool, Int64

from amodal.mask_arrays import window


def covered_pixels(
    visible_masks: Bool[np.ndarray, "N H W"], invisible_masks: Bool[np.ndarray, "N H W"]
) -> Int64[np.ndarray, "N N"]:
    """How many pixels object i's visible part covers of object j's invisible part, at [i, j].

    This is the pairwise comparison that SLN's depth-order score is made of (Zhang et al., ACM MM 2019): a pixel of j
    that is invisible while i is visible there says that i is in front of j.
    """
    covered = np.zeros((len(visible_masks), len(visible_masks)), dtype=np.int64)
    for behind, invisible in enumerate(invisible_masks):
        where = window(invisible)  # only there can anything count: large images stay cheap
        covered[:, behind] = (visible_masks[:, *where] & invisible[where]).sum(axis=(1, 2))
    np.fill_diagonal(covered, 0)
    return covered


def front_to_back(covered: Int64[np.ndarray, "N N"]) -> Int64[np.ndarray, " N"]:
    """Each object's place from the front, 0 nearest, from the pixels that each covers of each.

    i is in front of j where it covers more of j than j of i. Repeatedly takes the object that the remaining ones
    cover least: a topological sort where the masks agree with one, and in a cycle the least contradicted place.
    Objects that nothing relates keep their given order.
    """
    margin = np.maximum(covered - covered.T, 0)
    places = np.empty(len(covered), dtype=np.int64)
    burden = margin.sum(axis=0).astype(np.float64)
    for place in range(len(covered)):
        nearest = int(burden.argmin())
        places[nearest] = place
        burden -= margin[nearest]
        burden[nearest] = np.inf
    return places
