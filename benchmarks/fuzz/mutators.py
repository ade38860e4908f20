"""Damage: to bytes, to text, to the structure and the numbers of JSON, also where it stands inside of other files."""

import copy
import json
import random
import struct
from typing import Any

JUNK: list[Any] = [
    *(None, True, False, 0, -1, 3, 3.5, 1e300, float("nan"), float("inf"), 10**30, -(2**63), 2**31, 2**64),
    *("", "x", "7", "\u0000", "\ud800", "é", "a\nb", "../../x", "0" * 40, "~~~", "x" * 5000),
    *([], [[]], {}, [1, 2, 3], ["a"], [None], [1e9] * 8, [[0, 0, 1e12, 0, 5, 5]], [[1, 2], [3]]),
    *({"size": [6, 8], "counts": []}, {"size": [2**40, 2**40], "counts": "0"}, {"counts": [48], "size": [6, 8]}),
    *({"size": [6, 8], "counts": [-5, 53]}, {"size": [6, 8], "counts": "P" * 16}, {"size": None, "counts": ""}),
    *({"size": [2**31, 2], "counts": "0"}, {"size": [10**6, 10**6], "counts": [10**12]}),
]
NUMBERS = [0, 1, -1, 2, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 10**18, 10**30, 200_000]
DIGITS, DEPTH = "9" * 5000, 100_000


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with damage that suits it: most often one change, sometimes several."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        try:
            content = _once(content, rng)
        except RecursionError:  # nested too deeply by the change before
            content = in_bytes(content, rng)
    return content


def _once(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return in_bytes(content, rng)
    if content[:1] in b"{[":
        tree = _parsed(content)
        return in_bytes(content, rng) if tree is None else in_json(tree, rng).encode("utf-8", "surrogatepass")
    header = _header(content)
    if header is not None and rng.random() < 0.8:
        return in_header(content, header, rng)
    try:
        return in_text(content.decode("utf-8"), rng).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return in_bytes(content, rng)


def in_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bits turned, bytes set, taken out, doubled or cut off."""
    data = bytearray(content or b"\0")
    at, length = rng.randrange(len(data)), rng.choice([1, 2, 4, 16, 64])
    match rng.randrange(7):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length]
        case 4:
            del data[at:]
        case 5:
            data[at : at + length] = rng.randbytes(length)
        case _:  # a number of four bytes, which formats keep lengths and sizes in
            order = rng.choice("<>")
            data[at : at + 4] = struct.pack(f"{order}I", rng.choice(NUMBERS) % 2**32)
    return bytes(data)


def in_text(text: str, rng: random.Random) -> str:
    """Words and lines changed, numbers made extreme."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    words = lines[at].split(" ")
    place = rng.randrange(len(words))
    match rng.randrange(6):
        case 0:
            words[place] = str(rng.choice([*NUMBERS, "nan", "inf", "-inf", "1e400", DIGITS]))
        case 1:
            words[place] = rng.choice(
                ["", "x", "\u0000", "é", "{", "[", "]", "'", '"', ":", "-", "#", "&a", "*a", "!!"]
            )
        case 2:
            lines.insert(at, rng.choice(["", " ", *lines]))
        case 3:
            del words[place]
        case 4:
            cut = rng.randrange(len(words[place]) + 1)
            words[place] = words[place][:cut] + rng.choice("0-.xé\u2028<>&;/") + words[place][cut:]
        case _:
            words[place] *= rng.choice([2, 50])
    lines[at] = " ".join(words)
    return "\n".join(lines)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON tree."""
    found, waiting = [], [tree]
    while waiting:
        one = waiting.pop()
        pairs = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, value in pairs:
            found.append((one, key))
            waiting.append(value)
    return found


def damage(tree: Any, rng: random.Random) -> None:
    """Changes one place: another value, taken away, twice, or a character of its text."""
    container, key = rng.choice(places(tree))
    value, act = container[key], rng.random()
    if act < 0.12:
        del container[key]
    elif act < 0.2 and isinstance(container, list):
        container.append(copy.deepcopy(value))
    elif act < 0.28 and isinstance(container, dict):
        container[rng.choice(["", "x", "\ud800", f"{key}s"])] = container.pop(key)
    elif isinstance(value, str) and value[:1] in ("{", "[") and (inner := _parsed(value.encode())) is not None:
        container[key] = in_json(inner, rng)  # JSON that stands in a text
    elif act < 0.5 and isinstance(value, str) and value:
        at = rng.randrange(len(value))
        container[key] = value[:at] + rng.choice(["", chr(rng.randrange(32, 127)), "o" * 9]) + value[at + 1 :]
    elif act < 0.7 and isinstance(value, int | float):
        number: float = value
        container[key] = rng.choice([rng.choice(NUMBERS), -number, number + 1, number * 1000, number // 3])
    else:
        container[key] = copy.deepcopy(rng.choice(JUNK))


def in_json(tree: Any, rng: random.Random) -> str:
    """A JSON text with a change in the structure, which is used up; now and then one that no structure holds."""
    if places(tree):
        damage(tree, rng)
    text = json.dumps(tree)
    if rng.random() < 0.06:  # nested deeper, or with more digits, than a parser takes
        deep = rng.choice([60, 900, DEPTH])
        what = rng.choice(
            [DIGITS, "[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep, "1" + "0" * 400, "1e999"]
        )
        numbers = [at for at, character in enumerate(text[:-1]) if character == ":" and text[at + 1] == " "]
        if numbers:
            at = rng.choice(numbers) + 2
            end = next((e for e in range(at, len(text)) if text[e] in ",}"), at)
            text = text[:at] + what + text[end:]
    return text


def in_header(content: bytes, header: Any, rng: random.Random) -> bytes:
    """A safetensors file with damage in its header: shapes, offsets, and the description, JSON in a text."""
    (length,) = struct.unpack("<Q", content[:8])
    about = header.get("__metadata__")
    if isinstance(about, dict) and about and rng.random() < 0.7:
        key = rng.choice(sorted(about))
        inner = _parsed(about[key].encode()) if isinstance(about[key], str) else None
        if isinstance(inner, dict | list):
            about[key] = in_json(inner, rng)
            text = json.dumps(header)
        else:
            text = in_json(header, rng)
    else:
        text = in_json(header, rng)
    data = text.encode("utf-8", "surrogatepass")
    data += b" " * (-len(data) % 8)
    return struct.pack("<Q", len(data)) + data + content[8 + length :]


def _header(content: bytes) -> dict[str, Any] | None:
    """The header of a safetensors file; None for any other."""
    if len(content) < 10 or content[8:9] != b"{":
        return None
    (length,) = struct.unpack("<Q", content[:8])
    tree = _parsed(content[8 : 8 + length]) if length < len(content) else None
    return tree if isinstance(tree, dict) else None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
