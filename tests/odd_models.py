"""Models that never answer, break, or cannot be loaded. No page here: other processes load this file."""

import os
import time

from amodal.errors import UserError
from amodal.inference.predictor import Predictor
from tests.demo.test_page import TwoBars


class Odd(TwoBars):
    """Never ends on pictures whose first pixel is red; breaks on green ones."""

    def detect(self, images, *, score_threshold=0.0, coarse=False):
        red, green, _ = images[0][0, 0]
        if red == 255:
            time.sleep(3600)
        if green == 255:
            os._exit(9)
        return super().detect(images, score_threshold=score_threshold)


def odd() -> Predictor:
    return Predictor(Odd())


def missing() -> Predictor:
    raise UserError("no such model", file="x.safetensors")
