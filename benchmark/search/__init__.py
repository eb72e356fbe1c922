"""Search: claim trials, have children train them, prune, and store what they found. Ends trials.

Trains nothing itself and prints nothing: an observer is told what happens. Any number of processes, on any number of
machines, may search the same study at once.
"""

from benchmark.search.keeping import FileKeeper, best_trials
from benchmark.search.observer import Ending, SearchLimits, SearchObserver
from benchmark.search.suggesting import suggest_from
from benchmark.search.supervisor import Search

__all__ = ["Ending", "FileKeeper", "Search", "SearchLimits", "SearchObserver", "best_trials", "suggest_from"]
