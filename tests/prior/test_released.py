import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from amodal.errors import UserError
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.released import load_autoencoder, load_codebook, our_name


def write_npy(path: Path, content: Any, protocol: int = 4, *, numpy_1: bool = False) -> Path:
    """As np.save writes an object, by any pickle protocol, and with the names of modules that numpy 1 had."""
    array = np.array(content, dtype=object)
    pickled = pickle.dumps(array, protocol=protocol)
    if numpy_1:
        assert b"numpy._core" in pickled
        pickled = pickled.replace(b"numpy._core", b"numpy.core")
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(pickled)
    return path


BOOK: dict[Any, np.ndarray] = {0: np.arange(6.0).reshape(3, 2), 2: np.asfortranarray([[1.5, 2.5]], dtype=">f4")}


@pytest.mark.parametrize(
    ("protocol", "numpy_1"), [(2, False), (2, True), (3, False), (3, True), (4, False), (5, False)]
)
def test_code_books_of_any_pickle_protocol(tmp_path: Path, protocol: int, numpy_1: bool) -> None:
    book = load_codebook(write_npy(tmp_path / "book.npy", BOOK, protocol, numpy_1=numpy_1))
    assert book.counts.tolist() == [3, 0, 1]
    assert book.codes.dtype == torch.float32
    assert book.codes[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert book.codes[2, 0].tolist() == [1.5, 2.5]


def test_code_book_as_numpy_saves_it(tmp_path: Path) -> None:
    content = {np.int64(1): np.ones((2, 3), np.float32), np.int64(0): np.zeros((0, 3)), 2: np.ones((1, 4))[:, :3]}
    np.save(tmp_path / "book.npy", content, allow_pickle=True)  # type: ignore[arg-type]
    book = load_codebook(tmp_path / "book.npy", num_classes=5)
    assert book.counts.tolist() == [0, 2, 1, 0, 0]
    with pytest.raises(UserError, match="has a class 2, of 2 classes"):
        load_codebook(tmp_path / "book.npy", num_classes=2)


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_code_book_is_executed(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    file = write_npy(tmp_path / "book.npy", {0: BOOK[0], 1: Malicious(mark)}, protocol)
    with pytest.raises(UserError, match=r"book\.npy: asks to run .*; only arrays are read"):
        load_codebook(file)
    assert not mark.exists()
    np.load(file, allow_pickle=True)
    assert mark.exists()  # it would have been


@pytest.mark.parametrize("name", ["builtins eval", "os system", "numpy load", "numpy._core.multiarray fromfile"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    module, attribute = name.split()
    file = write_npy(tmp_path / "book.npy", BOOK)
    header = file.read_bytes()[:128]
    file.write_bytes(header + f"c{module}\n{attribute}\n(S'1'\ntR.".encode())
    with pytest.raises(UserError, match=f"asks to run {module}.{attribute}"):
        load_codebook(file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "does not hold one dict"),
        ({"cup": np.ones((1, 2))}, "entry 'cup' is not a class"),
        ({-1: np.ones((1, 2))}, "entry -1 is not a class"),
        ({0: [1.0, 2.0]}, "entry 0 is not a class"),
        ({0: np.ones(2)}, r"class 0 has \(2,\) values"),
        ({0: np.full((1, 2), np.nan)}, "class 0 has"),
        ({0: np.array([["a", "b"]])}, "'U1', not numbers"),
        ({0: np.array([[None]])}, "'O8', not numbers"),
        ({0: np.ones((1, 2)), 1: np.ones((1, 3))}, r"embeddings of 2 sizes, \[2, 3\]"),
        ({0: np.zeros((0, 2))}, "embeddings of 0 sizes"),
        ({}, "embeddings of 0 sizes"),
    ],
)
def test_content_that_is_no_code_book(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(UserError, match=rf"book\.npy: .*{problem}"):
        load_codebook(write_npy(tmp_path / "book.npy", content))


def test_damaged_code_books(tmp_path: Path) -> None:
    whole = write_npy(tmp_path / "book.npy", BOOK).read_bytes()
    for content in (b"", b"junk", whole[:60], whole[:-40], whole[:130] + b"\x00" + whole[131:]):
        (tmp_path / "book.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"book\.npy: cannot be read as a code book"):
            load_codebook(tmp_path / "book.npy")
    np.save(tmp_path / "book.npy", np.zeros((3, 2)))
    with pytest.raises(UserError, match="an array of float64, not a pickled dict"):
        load_codebook(tmp_path / "book.npy")
    with pytest.raises(UserError, match="no such file"):
        load_codebook(tmp_path / "missing.npy")


def released_tensors(autoencoder: MaskAutoencoder) -> dict[str, torch.Tensor]:
    """The state under the released names: the other way round than `our_name`."""
    names = {}
    for name in autoencoder.state_dict():
        part, *index, kind = name.split(".")
        number = int(index[0]) + 1 if index else 0
        known = {"encoder": f"mask_fcn_enc{number}", "decoder": f"mask_fcn_dec{number}.1", "output": "outconv.0"}
        names[f"{known[part]}.{kind}"] = autoencoder.state_dict()[name]
    return names


@pytest.mark.parametrize("num_convs", [2, 3])
def test_released_autoencoders(tmp_path: Path, num_convs: int) -> None:
    original = MaskAutoencoder(num_convs)
    torch.save(released_tensors(original), tmp_path / "net.pth")
    masks = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(load_autoencoder(tmp_path / "net.pth")(masks), original(masks), atol=0, rtol=0)


def test_names_of_parameters() -> None:
    assert our_name("mask_fcn_enc1.weight") == "encoder.0.weight"
    assert our_name("mask_fcn_dec3.1.bias") == "decoder.2.bias"
    assert our_name("outconv.0.weight") == "output.weight"


def test_other_torch_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    for content, problem in [
        ({"conv1.weight": torch.zeros(1)}, "holds 'conv1.weight', which no released auto-encoder has"),
        ({"outconv.0.bias": torch.zeros(1)}, "0 encoder convolutions"),
        ([1, 2], "cannot be read as torch weights"),
        (Malicious(tmp_path / "executed"), "cannot be read as torch weights"),
    ]:
        torch.save(content, file)
        with pytest.raises(UserError, match=rf"net\.pth: .*{problem}"):
            load_autoencoder(file)
    assert not (tmp_path / "executed").exists()
    file.write_bytes(b"junk")
    with pytest.raises(UserError, match=r"net\.pth: cannot be read as torch weights"):
        load_autoencoder(file)
