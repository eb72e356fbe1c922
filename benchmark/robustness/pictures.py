"""The pictures of a page on corrupted images: accuracy by entrant, and one image under all of them; scores nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.corruptions import CORRUPTIONS, SEVERITIES
from benchmark.explore.layout import Row, draw_rows
from benchmark.files import replace_files
from benchmark.records import ImageShape
from benchmark.robustness.report import FIGURE, SAMPLES, CorruptionReport, in_words
from benchmark.tiles import to_png


def draw(report: CorruptionReport, samples: NDArray[np.uint8], folder: Path) -> list[Path]:
    """Write the report's pictures into `folder`/STUDY; the paths. Raises BenchError where that cannot be.

    `samples` (R, 1 + S, H, W, C) is one image under every corruption: as it is, and at every severity.
    """
    from benchmark.figures import CorruptedAccuracy, accuracy_under_corruption, save

    inside = folder / report.origin.study
    groups = [str(CORRUPTIONS[name].tags["group"]) for name in report.corruptions]
    figure = accuracy_under_corruption(
        [CorruptedAccuracy(one.entrant, one.clean, one.by_severity, one.by_corruption) for one in report.scores],
        [in_words(name) for name in report.corruptions],
        groups,
        rows=report.origin.rows,
        test_rows=report.origin.test_rows,
        subject=report.origin.study,
    )
    rows = [
        Row(in_words(name), group, list(of_one))
        for name, group, of_one in zip(report.corruptions, groups, samples, strict=True)
    ]
    _, _, height, width, channels = samples.shape
    heads = ["clean", *map(str, SEVERITIES)]
    title = f"{report.origin.dataset}: a test image as it is, and at every severity"
    picture = draw_rows(title, rows, ImageShape(channels, height, width), columns=len(heads), heads=heads)
    written = replace_files({inside / f"{SAMPLES}.png": to_png(picture)}, "the picture")
    return [*save(figure, inside, FIGURE), *written]
