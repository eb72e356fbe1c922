"""bench: search, ensemble and rank image classifiers, with numbers that a sceptic can check."""

__version__ = "0.1.0"
