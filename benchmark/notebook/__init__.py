"""The program as a notebook or a script uses it, with data frames and pictures; every number is the commands' own.

A script that searches needs the usual ``if __name__ == "__main__":``, since workers are processes of their own.
"""

from benchmark.notebook.data import Data, load_dataset
from benchmark.notebook.study import Study
from benchmark.notebook.views import Board, Mistakes, Picture

__all__ = ["Board", "Data", "Mistakes", "Picture", "Study", "load_dataset"]
