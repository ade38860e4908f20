"""Tensors on their way into a file."""

import torch

from amodal.tensor_files import in_16_bits


def test_numbers_become_16_bits_where_16_bits_hold_them():
    tensors = {
        "weights": torch.tensor([1.0, -65504.0, 1e-9]),
        "variance of large numbers": torch.tensor([1.0, 97787.25]),
        "diverged": torch.tensor([float("nan")]),
        "steps": torch.tensor(70_000),
        "none": torch.zeros(0),
    }
    found = in_16_bits(tensors)
    assert {name: value.dtype for name, value in found.items()} == {
        "weights": torch.float16,
        "variance of large numbers": torch.float32,
        "diverged": torch.float32,
        "steps": torch.int64,
        "none": torch.float16,
    }
    assert found["variance of large numbers"].tolist() == [1.0, 97787.25]
    assert found["weights"].tolist() == [1.0, -65504.0, 0.0]
