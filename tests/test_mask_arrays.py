"""NumPy's masks are measured as torch's are."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amodal import mask_arrays, masks

pairs = st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@given(pairs)
def test_boxes_and_rates_are_those_of_tensors(pair):
    amodal, visible = pair[0], pair[0] & pair[1]
    tensors = [torch.from_numpy(each) for each in (amodal, visible)]
    assert np.array_equal(mask_arrays.boxes(amodal), masks.boxes(tensors[0]).numpy())
    rates = mask_arrays.occlusion_rates(*(each.sum(axis=(1, 2)) for each in (amodal, visible)))
    np.testing.assert_allclose(rates, masks.occlusion_rates(*tensors).numpy(), rtol=1e-6)


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_a_window_holds_the_mask_and_no_more(mask):
    rows, columns = mask_arrays.window(mask)
    assert mask[rows, columns].sum() == mask.sum()
    if mask.any():
        inside = mask[rows, columns]
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    else:
        assert mask[rows, columns].size == 0
