"""Images that a file names by texts instead of whole numbers."""

import re
from itertools import count
from typing import Any

_WHOLE = re.compile(r"\s*[+-]?\d+\s*")


def numbers(images: list[Any]) -> dict[str, int]:
    """A whole number for each id of a file's raw images that is a text: free ones from 1 on, in the file's order."""
    ids = [image.get("id") for image in images if isinstance(image, dict)]
    texts = dict.fromkeys(one for one in ids if isinstance(one, str) and one.strip() and not _WHOLE.fullmatch(one))
    if not texts:
        return {}
    taken = {
        int(one)
        for one in ids
        if isinstance(one, int) or (isinstance(one, str) and one not in texts and 0 < len(one.strip()) < 20)
    }
    free = (number for number in count(1) if number not in taken)
    return {text: next(free) for text in texts}
