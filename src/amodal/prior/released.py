"""Reads the shape priors that the paper's authors released: auto-encoders (`.pth`) and code books (`.npy`).

A `.npy` code book is a pickle, and unpickling runs whatever the file says. So nothing of numpy's own unpickling is
used: plain stand-ins take the place of the few names that an array's pickle mentions, and any other name is refused.
"""

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from torch import Tensor

from amodal.errors import UserError
from amodal.files import require_file
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook

SMALL = 2**28
"""Bytes that a code book may take in memory, however little of it is in the file."""
_RELEASED_NAME = re.compile(r"(?:mask_fcn_(?P<part>enc|dec)(?P<index>[1-3])(?:\.1)?|outconv\.0)\.(?P<kind>weight|bias)")


def our_name(released: str) -> str:
    """Our name of a released parameter: `mask_fcn_enc1.weight` is `encoder.0.weight`. Raises KeyError if unknown."""
    match = _RELEASED_NAME.fullmatch(released)
    if match is None:
        raise KeyError(released)
    if match["part"] is None:
        return f"output.{match['kind']}"
    part = {"enc": "encoder", "dec": "decoder"}[match["part"]]
    return f"{part}.{int(match['index']) - 1}.{match['kind']}"


def load_autoencoder(path: str | Path) -> MaskAutoencoder:
    """A released auto-encoder, of either depth. Raises UserError for any other file."""
    path = require_file(path)
    remedy = "Give one of the authors' *_recon_net.pth files"
    try:
        released: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        tensors = {our_name(name): value for name, value in released.items()}
        return MaskAutoencoder.from_tensors(tensors)
    except UserError as error:
        raise UserError(error.problem, file=path, remedy=remedy) from error
    except KeyError as error:
        raise UserError(f"holds {error}, which no released auto-encoder has", file=path, remedy=remedy) from error
    except Exception as error:  # a damaged pickle may raise anything
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"cannot be read as torch weights ({first_line})", file=path, remedy=remedy) from error


def load_codebook(path: str | Path, num_classes: int | None = None) -> CodeBook:
    """A released code book: a pickled dict {class from 0: (entries, D) float array} in an `.npy` file.

    Args:
        path: The file. Nothing in it is executed.
        num_classes: K, for a file without entries for the last classes; by default the highest class it has, plus 1.

    Raises:
        UserError: The file is missing, damaged, of another kind, or asks for anything but arrays.
    """
    path = require_file(path)
    try:
        classes = _class_arrays(_read_pickled_array(io.BytesIO(path.read_bytes())))
        return _book(classes, num_classes)
    except UserError as error:
        raise UserError(error.problem, file=path, remedy="Give one of the authors' code books") from error
    except Exception as error:  # a damaged pickle may raise anything
        problem = f"cannot be read as a code book ({type(error).__name__}: {error})"
        raise UserError(problem, file=path, remedy="Give one of the authors' code books") from error


def _book(classes: dict[int, np.ndarray], num_classes: int | None) -> CodeBook:
    filled = {index: codes for index, codes in classes.items() if codes.size}
    sizes = {codes.shape[1] for codes in filled.values()}
    if len(sizes) != 1:
        raise UserError(f"embeddings of {len(sizes)} sizes, {sorted(sizes)}, where one is wanted")
    highest = max(classes)
    if num_classes is None:
        num_classes = highest + 1
    if highest >= num_classes:
        raise UserError(f"has a class {highest}, of {num_classes} classes counted from 0")
    size, longest = sizes.pop(), max(len(codes) for codes in filled.values())
    there = sum(codes.nbytes for codes in filled.values())
    if 4 * num_classes * longest * size > max(SMALL, 8 * there):
        raise UserError(f"{len(filled)} filled classes of {num_classes}, {longest} codes at most: too much is empty")
    empty = np.zeros((0, size), np.float32)
    return CodeBook.from_classes([torch.from_numpy(filled.get(index, empty)) for index in range(num_classes)])


def _class_arrays(content: object) -> dict[int, np.ndarray]:
    """The dict, checked: classes from 0, finite float32 arrays of two dimensions."""
    if not isinstance(content, dict):
        raise UserError("is not a dict of arrays by class")
    classes = {}
    for index, item in cast(dict[Any, Any], content).items():
        if not isinstance(index, int) or index < 0 or not isinstance(item, _Array):
            raise UserError(f"entry {index!r} is not a class (from 0) with an array of embeddings")
        values = item.numbers()
        if values.size and (values.ndim != 2 or not np.isfinite(values).all()):
            raise UserError(f"class {index} has {values.shape} values, where finite (entries, D) ones are wanted")
        classes[index] = values
    return classes


def _read_pickled_array(file: BinaryIO) -> object:
    """The one object inside an `.npy` file with an object array of no dimensions, as `np.save(path, dict)` makes."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    _, _, dtype = read_header(file)
    if not dtype.hasobject:
        raise UserError(f"is an array of {dtype}, not a pickled dict of arrays by class")
    _check_places(file)
    array = _ArrayUnpickler(file).load()
    if not isinstance(array, _Array):
        raise UserError("does not hold an array")
    return array.single_object()


def _check_places(file: BinaryIO) -> None:
    """Raises ValueError where a pickle is cut short, or keeps things at places as far away as no file has things."""
    start = file.tell()
    data = file.read()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name.endswith("PUT") and argument is not None and int(argument) > len(data):
            raise ValueError(f"a place of number {argument}")
    file.seek(start)


class _Dtype:
    """Stands for numpy.dtype: type code and byte order."""

    def __init__(self, code: str, *_flags: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numeric(self) -> np.dtype:
        """The dtype, of a plain number. Raises UserError for any other."""
        if not re.fullmatch(r"[fiu][1248]", self.code) or self.order not in {"<", ">", "|", "="}:
            raise UserError(f"holds values of type {self.code!r}, not numbers")
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for numpy.ndarray: shape, dtype and data, made into an array only when they are known to be numbers."""

    def __init__(self, *_subtype_shape_code: object) -> None:
        self.shape, self.dtype, self.fortran, self.data = (0,), _Dtype("f4"), False, b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def single_object(self) -> object:
        """The content of an object array with one entry."""
        if self.dtype.code not in {"O", "O4", "O8"} or not isinstance(self.data, list) or len(self.data) != 1:
            raise UserError("does not hold one dict of arrays by class")
        return self.data[0]

    def numbers(self) -> np.ndarray:
        """The array, as float32."""
        values = np.frombuffer(self.data, self.dtype.numeric())
        return values.reshape(self.shape, order="F" if self.fortran else "C").astype(np.float32, order="C")


def _from_buffer(data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _scalar(dtype: _Dtype, data: bytes) -> object:
    return np.frombuffer(data, dtype.numeric())[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise UserError(f"encodes text as {encoding!r}, as no array does")
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the names in the pickles of numpy arrays, of numpy 1 (`numpy.core`) and 2 (`numpy._core`), and no other."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What stands for a name. Raises UserError for any name that is not an array's."""
        name = f"{module_name}.{global_name}".replace("numpy._core.", "numpy.core.", 1)
        known = {
            "numpy.core.multiarray._reconstruct": _Array,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy.core.numeric._frombuffer": _from_buffer,
            "numpy.ndarray": _Array,
            "numpy.dtype": _Dtype,
            "_codecs.encode": _latin1,
        }
        if name not in known:
            raise UserError(f"asks to run {module_name}.{global_name}; only arrays are read")
        return known[name]
