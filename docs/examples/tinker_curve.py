"""Draw what ``tinker_sft.py --json`` wrote as an SVG: ``python tinker_curve.py tinker_sft.json tinker_sft.svg``. No packages needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT = 720, 260
TOP, BOTTOM, MARGIN, BETWEEN = 44, 40, 52, 64
INK, PALE = "#57606a", "#d0d7de"


class Panel(NamedTuple):
    """One curve over the steps."""

    title: str
    colour: str
    points: list[tuple[float, float]]
    highest: float
    unit: str


def label(x: float, y: float, text: str, anchor: str = "middle", colour: str = INK, size: int = 12) -> str:
    """A text; ``y`` is its base line."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{text}</text>'


def drawn(panel: Panel, left: float, width: float, steps: int) -> list[str]:
    """A panel with its axes."""
    height = HEIGHT - TOP - BOTTOM

    def at(step: float, value: float) -> tuple[float, float]:
        return left + width * step / steps, TOP + height * (1 - value / panel.highest)

    parts = [label(left, TOP - 18, panel.title, "start", panel.colour, 14)]
    for quarter in range(5):
        value = panel.highest * quarter / 4
        _, y = at(0, value)
        parts.append(f'<path d="M{left} {y:.1f}h{width:.1f}" stroke="{PALE}"/>')
        parts.append(label(left - 8, y + 4, f"{value:g}{panel.unit}", "end"))
    for third in range(4):
        x, _ = at(steps * third / 3, 0)
        parts.append(label(x, HEIGHT - BOTTOM + 18, f"{steps * third / 3:.0f}"))
    parts.append(label(left + width / 2, HEIGHT - 6, "step"))
    places = [at(*point) for point in panel.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{panel.colour}" stroke-width="2"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{panel.colour}"/>' for x, y in places]
    return parts


def main() -> None:
    """From the command line."""
    source, target = map(Path, sys.argv[1:3])
    told = json.loads(source.read_text())
    rows, steps = told["rows"], told["steps"]
    matches = [(row["step"], 100 * row["exact_match"]) for row in rows]
    # Of the steps since the row before.
    losses = [(row["step"], row["loss"]) for row in rows if row["loss"] is not None]
    highest = 4.0 * -(-max(loss for _, loss in losses) // 4)
    panels = [
        Panel("exact match, held-out questions", "#0969da", matches, 100, " %"),
        Panel("loss per token, training", "#bc4c00", losses, highest, ""),
    ]
    width = (WIDTH - MARGIN - BETWEEN - 16) / 2
    parts = [
        part for at, panel in enumerate(panels) for part in drawn(panel, MARGIN + at * (width + BETWEEN), width, steps)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>'
    target.write_text("\n".join([head, back, *parts, "</svg>", ""]))


if __name__ == "__main__":
    main()
