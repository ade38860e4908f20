"""The pictures that people are looking at, kept small; let go when they are too many or nobody looks."""

import shutil
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np

from amodal.demo.session import Session

IDLE = 5 * 60
"""Seconds after which a picture that nobody touches is let go: whoever comes back gives it again."""
MOST_OF_ONE = 50 * 2**20
"""Bytes that one person's picture may take. Packed, one of the largest with a hundred objects takes about 6 MB."""
MOST_OF_ALL = 400 * 2**20
"""Bytes for all people; where more are needed, those go that were touched longest ago."""


@dataclass(frozen=True)
class _Parcel:
    """A session whose masks, nearly all of whose pixels equal their neighbours, are compressed."""

    session: Session
    """Without masks."""
    masks: tuple[bytes | None, bytes | None]
    shape: tuple[int, int, int]
    folder: Path
    """Of the files to download."""
    touched: float

    @property
    def num_bytes(self) -> int:
        return self.session.pixels.nbytes + sum(len(packed) for packed in self.masks if packed)

    def open(self) -> Session:
        amodal, visible = (None if packed is None else self._unpack(packed) for packed in self.masks)
        return replace(self.session, result=replace(self.session.result, amodal_masks=amodal, visible_masks=visible))

    def _unpack(self, packed: bytes) -> np.ndarray:
        bits = np.frombuffer(zlib.decompress(packed), np.uint8)
        return np.unpackbits(bits, count=int(np.prod(self.shape))).reshape(self.shape).view(bool)


class Shelf:
    """Sessions by a key that their owner alone knows. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._parcels: OrderedDict[str, _Parcel] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: str, session: Session, folder: Path) -> bool:
        """Keeps a session in place of the one before, and the folder of its files. False where it is too large."""
        parcel = _pack(session, folder, self._clock())
        with self._lock:
            self._let_go(key, but=folder)
            if parcel.num_bytes > MOST_OF_ONE:
                return False
            self._parcels[key] = parcel
            while self.num_bytes > MOST_OF_ALL:
                self._let_go(next(iter(self._parcels)))
        return True

    def get(self, key: str) -> Session | None:
        """The session, which counts as touched now; None where there is none, or none any more."""
        with self._lock:
            parcel = self._parcels.get(key)
            if parcel is None:
                return None
            self._parcels[key] = parcel = replace(parcel, touched=self._clock())
            self._parcels.move_to_end(key)
        return parcel.open()

    def drop(self, key: str) -> None:
        """Lets a session go, if it is there."""
        with self._lock:
            self._let_go(key)

    def sweep(self) -> None:
        """Lets go what nobody has touched for `IDLE` seconds."""
        with self._lock:
            for key in [k for k, parcel in self._parcels.items() if self._clock() - parcel.touched > IDLE]:
                self._let_go(key)

    @property
    def num_bytes(self) -> int:
        """Bytes of all pictures and masks that are kept."""
        return sum(parcel.num_bytes for parcel in self._parcels.values())

    def __len__(self) -> int:
        return len(self._parcels)

    def _let_go(self, key: str, but: Path | None = None) -> None:
        parcel = self._parcels.pop(key, None)
        if parcel is not None and parcel.folder != but:
            shutil.rmtree(parcel.folder, ignore_errors=True)


def _pack(session: Session, folder: Path, now: float) -> _Parcel:
    result = session.result
    amodal, visible = (
        None if masks is None else zlib.compress(np.packbits(masks).tobytes(), 1)
        for masks in (result.amodal_masks, result.visible_masks)
    )
    none = np.zeros((len(result), 0, 0), dtype=bool)
    empty = replace(
        result,
        amodal_masks=None if amodal is None else none,
        visible_masks=None if visible is None else none,
    )
    shape = (len(result), *result.size)
    return _Parcel(replace(session, result=empty), (amodal, visible), shape, folder, now)
