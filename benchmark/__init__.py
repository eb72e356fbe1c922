"""bench: search, ensemble and rank image classifiers, with numbers that a sceptic can check.

`benchmark.Study` and `benchmark.load_dataset` are the way in for notebooks and scripts (see `benchmark.notebook`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.notebook import Study, load_dataset

__version__ = "0.1.0"
__all__ = ["Study", "load_dataset"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: every module of the package imports this one, and few need torch.
    if name not in __all__:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    from benchmark import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
