# SPDX-License-Identifier: Apache-2.0
"""Rows of figures that were taken in turn, round by round."""
import statistics


def row_of(values, base):
    """A row's figures beside those of the row that it is compared with, round by round."""
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "to_base": statistics.median(v / b if b else 0 for v, b in zip(values, base)),
        "over_base": statistics.median(v - b for v, b in zip(values, base)),
    }


def show(title, rows, base, added=False):
    """added: what a row is more than the base, instead of how many times as much."""
    last = f"more than {base}" if added else f"to {base}"
    print(f"\n{title:<42}{'median':>10}{'least':>10}{'most':>10}   {last}")
    for name, row in rows.items():
        figure = row["over_base"] if added else row["to_base"]
        print(f"  {name:<40}{row['median']:10.2f}{row['least']:10.2f}{row['most']:10.2f}{figure:12.2f}")
