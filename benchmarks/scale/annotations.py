"""Annotations in the memory of many processes: mapped from one file, and read into each.

Counted is what annotations add to a process: the pages of the file, divided among the processes that map them (its
proportional set size), and what the process has of its own since before it opened them.
"""

import gc
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.arrow_files import arrow
from amodal.data.mapped import MappedAnnotations, write
from amodal.rle import Rle

OBJECTS, EVERY = 5, 5
"""Of an image; and which images a process looks at, so that it touches all pages of the file."""
PROCESSES = 16
"""8 workers for each of 2 ranks."""
PATIENCE = 7200
"""Seconds for all of them on a busy machine."""
Barrier = Any


def measure(folder: Path, *, small: bool) -> dict[str, Any]:
    """Bytes in one process, and in all of 16."""
    count, path = 2_000 if small else 1_000_000, folder / "annotations.arrow"
    before = own_bytes()
    annotation_set = made(count)
    read = own_bytes() - before
    write(annotation_set, path, keep_empty=True, keep_stuff=False)
    one, many = (sum(in_processes(path, number)) for number in (1, 2 if small else PROCESSES))
    return {
        "images": count,
        "objects": count * OBJECTS,
        "file_bytes": path.stat().st_size,
        "read_bytes": read,
        "processes": 2 if small else PROCESSES,
        "bytes_in_one": one,
        "bytes_in_all": many,
        "ratio": many / one,
        "ratio_if_read": (2 if small else PROCESSES) * read / many,
    }


def made(count: int) -> AnnotationSet:
    """Annotations whose run lengths have 60 characters or so."""
    images = [ImageRecord(number, f"{number:09d}.jpg", 480, 640) for number in range(count)]
    annotations = []
    for number in range(count * OBJECTS):
        text = f"{number:09d}" * 6
        amodal, visible = (Rle(size=[480, 640], counts=(text + end).encode()) for end in ("0", "1"))
        annotations.append(Annotation(number, number // OBJECTS, 1 + number % 80, amodal, visible))
    return AnnotationSet(images, annotations, [Category(n, str(n)) for n in range(1, 81)])


def in_processes(path: Path, number: int) -> list[int]:
    """What each of so many processes counts while all of them have the file."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(number), context.Queue()
    started = [context.Process(target=look, args=(path, barrier, answers)) for _ in range(number)]
    for process in started:
        process.start()
    found = [answers.get(timeout=PATIENCE) for _ in started]
    for process in started:
        process.join()
    return found


def look(path: Path, barrier: Barrier, answers: Any) -> None:
    """Looks at the images as a worker does, keeping none; tells how much memory that takes."""
    arrow("ipc")  # the program is not what is counted
    before = own_bytes()
    annotations = MappedAnnotations(path)
    for place in range(0, len(annotations), EVERY):
        annotations[place]
    gc.collect()
    own = own_bytes() - before
    barrier.wait()
    answers.put(own + mapped_bytes(path))
    barrier.wait()


def own_bytes() -> int:
    """This process's memory that belongs to no file."""
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024


def mapped_bytes(path: Path) -> int:
    """A file's pages in this process, each divided by how many processes have it."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Pss:"):
            found += int(line.split()[1]) * 1024
    return found
