"""Speed: each figure a ratio against a named rival in the same run, drawn as docs/performance.md.

A part is a module of this package with

    TITLE: str                                   # its heading on the page
    def measure(quick: bool) -> Measured: ...    # everything it measures; quick is for tests: tiny sizes, same paths
    def describe(measured: Measured) -> str: ... # its text on the page, in Markdown, figures taken from `measured`

The part `floors` gives the machine's ceilings on one thread as facts: `operations_per_second` (float32 matrix product)
and `bytes_per_second` (copy; bytes read and bytes written both count). The page sets every `Stage` beside them.
"""

PARTS: tuple[str, ...] = (
    "inference",
    "video",
    "training",
    "floors",
    "memory",
    "scaling",
    "codebook",
    "masks",
    "synthesis",
    "loading",
    "scoring",
    "growth",
    "start",
)
"""Modules of this package that measure, in the page's order."""
