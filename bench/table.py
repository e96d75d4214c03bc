"""The rows of the result, how figures are written, and the table for terminals and for Markdown."""

from collections import namedtuple
from statistics import median

HELD = "held"
NOT_HELD = "NOT HELD"
NOT_MEASURED = "NOT MEASURED"

Row = namedtuple("Row", "benchmark figure ours peer ratio bound verdict")
Row.__doc__ = "One line of the table; every field is text."

HEADINGS = ("benchmark", "figure", "hotwatch", "peer", "ratio", "bound", "held?")


def seconds(value):
    """A duration as people read it."""
    return "{:.2f} s".format(value) if value >= 0.9995 else "{:.0f} ms".format(value * 1000)


def megabytes(value):
    """A size as people read it."""
    return "{:.1f} MB".format(value / 1e6)


def spread(values, show):
    """The median, and between which values it lies."""
    text = show(median(values))
    if len(values) > 1:
        text += " ({} to {})".format(show(min(values)), show(max(values)))
    return text


def compared(benchmark, figure, show, ours, peer, peers, factor, extra=0.0):
    """Our median beside the peer's; it may be `factor` times that and `extra` seconds, or anything without a
    factor. `peers` is text where the peer could not be measured."""
    bound = "<= {:.2f} x".format(factor) + (" + " + seconds(extra) if extra else "") if factor else "none"
    shown = spread(ours, show)
    if isinstance(peers, str):
        verdict = "{}: {}".format(NOT_MEASURED, peers) if factor else ""
        return Row(benchmark, figure, shown, "", "", bound, verdict)
    ratio, verdict = "", ""
    if factor:
        ratio = "{:.2f}".format(median(ours) / median(peers))
        verdict = HELD if median(ours) <= factor * median(peers) + extra else NOT_HELD
    return Row(benchmark, figure, shown, "{}: {}".format(peer, spread(peers, show)), ratio, bound, verdict)


def none_of(benchmark, figure, counts):
    """Counts of what must not happen at all; the worst decides."""
    held = HELD if max(counts) == 0 else NOT_HELD
    return Row(benchmark, figure, "{} (worst of {})".format(max(counts), len(counts)), "", "", "0", held)


def at_most(benchmark, figure, show, values, bound):
    """A figure that has a bound and no peer; the worst decides."""
    held = HELD if max(values) <= bound else NOT_HELD
    return Row(benchmark, figure, spread(values, show), "", "", "<= " + show(bound), held)


def plain(benchmark, figure, show, values):
    """A figure that has neither peer nor bound."""
    return Row(benchmark, figure, spread(values, show), "", "", "none", "")


def not_measured(benchmark, why):
    """The row of a benchmark that could not be done."""
    return Row(benchmark, "", "", "", "", "", "{}: {}".format(NOT_MEASURED, why))


def all_held(rows):
    """Whether everything was measured and within its bound."""
    return all(row.verdict in (HELD, "") for row in rows)


def terminal(rows):
    """The table with aligned columns."""
    lines = [HEADINGS] + rows
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS) - 1)] + [0]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in lines)
    return "\n".join(line.rstrip() for line in padded) + "\n"


def markdown(rows):
    """The table in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS)] + rows
    return "".join("| {} |\n".format(" | ".join(line)) for line in lines)
