"""What a data set looks like, in numbers and in pictures; trains nothing and loads no torch before it is needed."""

from benchmark.explore.augmented import augmented_grid
from benchmark.explore.numbers import Description, PartDescription, describe, mean_images, to_table
from benchmark.explore.pictures import mean_grid, pair_grid, sample_grid, suspect_grid

__all__ = [
    "Description",
    "PartDescription",
    "augmented_grid",
    "describe",
    "mean_grid",
    "mean_images",
    "pair_grid",
    "sample_grid",
    "suspect_grid",
    "to_table",
]
