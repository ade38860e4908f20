"""The paper's numbers, in percent, to stand beside ours. Xiao et al., AAAI 2021, Tables 1 to 3; ResNet-50 FPN.

The paper's AR is AR at one detection a category and image. It does not say so, but its AR is often far below its AP
(KINS: 19.4 and 30.0), which recall at 100 detections cannot be; its authors' code prints AR1 first.
"""

from amodal.paper.variants import TABLES, TableName

Numbers = dict[str, float | None]

OURS = ("two_heads", "aisformer", "bcnet", "vrsp_r")
"""Rows of our tables that are not in the paper's."""

FULL = ("amodal_ap", "amodal_ap50", "amodal_ap75", "amodal_ar1", "amodal_ap_occluded", "visible_ap", "visible_ar1")
SHORT = ("amodal_ap", "amodal_ar1", "amodal_ap_occluded", "visible_ap", "visible_ar1")

_D2SA_1 = """
63.6 83.9 68.0 65.2 NA   68.9 70.1
64.8 84.0 70.7 65.6 NA   69.8 70.5
64.2 83.5 69.1 65.2 45.2 69.6 70.4
25.1 30.8 29.4 19.2 NA   NA   NA
70.2 85.1 75.8 69.1 51.1 72.2 71.8"""
_KINS_1 = """
30.0 54.5 30.1 19.4 NA   28.0 19.2
30.7 54.3 31.4 19.7 NA   28.7 19.3
30.6 54.2 31.2 19.6 34.2 28.7 20.0
 6.6 10.7  6.9  6.1 NA   NA   NA
32.0 55.3 33.3 20.9 37.4 29.8 19.8"""
_COCOA_CLS_1 = """
33.6 56.5 35.8 34.1 NA   30.1 31.5
34.7 57.5 36.9 35.4 NA   31.8 32.8
28.0 53.6 25.3 29.8 17.4 30.8 32.2
14.4 23.6 15.8 17.1 NA   NA   NA
35.4 56.0 38.6 37.1 22.1 34.5 36.4"""
_D2SA_2 = """
66.67 65.68 46.40 70.50 70.24
69.02 68.09 50.31 71.66 70.83
68.84 67.42 49.08 71.53 70.70
68.15 68.30 50.03 70.71 70.43
69.98 68.87 51.01 71.92 71.15
70.27 69.17 51.17 72.28 71.85"""
_KINS_2 = """
31.61 20.16 36.84 29.44 19.61
31.65 20.55 36.93 29.25 19.81
31.70 20.33 37.25 29.45 19.63
31.87 20.46 37.48 29.53 19.70
31.94 20.60 37.55 29.61 19.88
32.08 20.90 37.57 29.88 19.88"""
_D2SA_3 = """
64.55 82.53 68.96 65.62 44.31 70.50 71.02
66.98 83.99 72.87 67.78 47.53 70.92 71.50
67.11 83.90 72.81 67.70 47.75 71.79 71.77
67.33 84.10 72.97 68.06 47.91 71.88 72.43"""
_KINS_3 = """
31.18 54.24 32.08 20.15 36.89 29.27 19.76
31.32 54.79 32.23 20.25 36.98 29.40 19.81
31.57 54.58 32.54 20.61 37.13 29.65 20.09
31.69 54.52 32.96 20.75 37.30 29.68 20.01"""

_TEXTS: dict[tuple[TableName, str], tuple[str, tuple[str, ...]]] = {
    ("table1", "d2sa"): (_D2SA_1, FULL),
    ("table1", "kins"): (_KINS_1, FULL),
    ("table1", "cocoa_cls"): (_COCOA_CLS_1, FULL),
    ("table2", "d2sa"): (_D2SA_2, SHORT),
    ("table2", "kins"): (_KINS_2, SHORT),
    ("table3", "d2sa"): (_D2SA_3, FULL),
    ("table3", "kins"): (_KINS_3, FULL),
}


def published(table: TableName, data_set: str) -> dict[str, Numbers]:
    """The paper's rows by method; empty for a data set that is not in that table of the paper."""
    if (table, data_set) not in _TEXTS:
        return {}
    text, columns = _TEXTS[table, data_set]
    lines = [line.split() for line in text.strip().splitlines()]
    rows = [row for row in TABLES[table] if row.method not in OURS]
    return {
        row.method: {
            column: None if number == "NA" else float(number) for column, number in zip(columns, line, strict=True)
        }
        for row, line in zip(rows, lines, strict=True)
    }
