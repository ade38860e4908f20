import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal.errors import UserError
from amodal.prior.codebook import CodeBook


def test_nearest_codes_of_the_regions_own_class() -> None:
    book = CodeBook.from_classes([torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0]])])
    embeddings = torch.tensor([[3.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
    indices, distances = book.nearest(embeddings, torch.tensor([0, 1, 0]), 1)
    assert indices.tolist() == [[1], [0], [0]]
    assert distances.tolist() == [[1.0], [10.0], [0.0]]


def test_nearest_come_in_order_and_missing_ones_are_infinitely_far() -> None:
    book = CodeBook.from_classes([torch.tensor([[5.0], [1.0]]), torch.zeros(0, 1), torch.tensor([[2.0], [3.0], [9.0]])])
    indices, distances = book.nearest(torch.zeros(3, 1), torch.tensor([0, 1, 2]), 4)
    assert indices[0, :2].tolist() == [1, 0]
    assert indices[2, :3].tolist() == [0, 1, 2]
    assert distances.tolist() == [[1, 25, torch.inf, torch.inf], [torch.inf] * 4, [4, 9, 81, torch.inf]]
    assert int(indices.min()) >= 0 and int(indices.max()) < 3


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 7), st.integers(1, 9), st.integers(0, 1000))
def test_same_as_comparing_each_region_with_each_code(regions: int, num_classes: int, most: int, k: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, most + 1, (num_classes,), generator=generator)
    counts[0] = most
    book = CodeBook.from_classes([torch.randn(int(count), 3, generator=generator) for count in counts])
    embeddings = torch.randn(regions, 3, generator=generator)
    classes = torch.randint(0, num_classes, (regions,), generator=generator)
    indices, distances = book.nearest(embeddings, classes, k)
    assert indices.shape == distances.shape == (regions, k)
    at_once, by_class = (rank(embeddings, classes, k) for rank in (book.rank_at_once, book.rank_by_class))
    torch.testing.assert_close(at_once, by_class, atol=1e-4, rtol=1e-4)
    for row in range(regions):
        count = min(int(counts[classes[row]]), k)
        codes = book.codes[classes[row], : int(counts[classes[row]])]
        expected = (codes - embeddings[row]).square().sum(1)
        torch.testing.assert_close(distances[row, :count], expected.sort().values[:count], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(expected[indices[row, :count]], distances[row, :count], atol=1e-4, rtol=1e-4)
        assert distances[row, count:].isinf().all()


def test_new_codes_are_searched_after_they_were_loaded() -> None:
    book, other = CodeBook(torch.zeros(1, 2, 1), torch.tensor([2])), torch.tensor([[[7.0], [1.0]]])
    book.load_state_dict({"codes": other, "counts": torch.tensor([2])})
    assert book.nearest(torch.tensor([[6.0]]), torch.tensor([0]), 1)[0].tolist() == [[0]]


def test_a_book_without_any_code_is_refused() -> None:
    with pytest.raises(UserError, match="at least one class"):
        CodeBook.from_classes([torch.zeros(0, 4)])
