"""Least values of smooth convex losses over non-negative numbers, to second order; knows nothing of members.

Sequential quadratic programming as in Kim, Carbonetto, Stephens & Anitescu 2020, arXiv:1806.01412 (a few Newton steps,
where the multiplicative updates of expectation maximisation take thousands). The quadratic programme of a step is a
least-squares problem over non-negative numbers, whose solutions have exact zeros: Lawson & Hanson 1974, chapter 23.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

TOLERANCE_NATS = 1e-9
"""The search ends with a step that promises less than this; by quadratic convergence, far less is then left."""
MAX_STEPS = 100
RIDGE = 1e-10
"""Share of the mean curvature that is added to each one's, for members that are copies of each other."""
SUFFICIENT = 1e-4
"""A step is taken once it gives this share of what its slope promises; else half of it is tried (Armijo's rule)."""

Numbers = NDArray[np.float64]


class ConvexLoss(Protocol):
    """A loss in nats of P numbers."""

    def value(self, at: Numbers) -> float:
        """The loss, which may be infinite."""

    def expand(self, at: Numbers) -> tuple[Numbers, Numbers]:
        """Gradient (P,) and Hessian (P, P)."""


def minimise(loss: ConvexLoss, start: Numbers) -> Numbers:
    """The (P,) numbers, none below 0, of least loss; deterministic. The loss at `start` (P,) must be finite."""
    here, value = start, loss.value(start)
    # One thread: fits of several folds share the machine, and sums come out the same however many cores there are.
    with threadpool_limits(limits=1):
        for _ in range(MAX_STEPS):
            gradient, hessian = loss.expand(here)
            step = _least_of_parabola(here, gradient, hessian) - here
            promised = -float(gradient @ step)
            if promised <= TOLERANCE_NATS:
                return here + step
            length = 1.0
            while (found := loss.value(here + length * step)) > value - SUFFICIENT * length * promised:
                length /= 2
            here, value = here + length * step, found
    return here


def _least_of_parabola(here: Numbers, gradient: Numbers, hessian: Numbers) -> Numbers:
    """The (P,) numbers, none below 0, at which the second-order expansion around `here` is least."""
    size = len(here)
    ridge = RIDGE * (np.trace(hessian) / size + 1)
    root = cholesky(hessian + ridge * np.eye(size))
    # With H = R'R, the expansion is half the squared length of R x - (R x0 - R^-T g), and a constant.
    least: Numbers = nnls(root, root @ here - solve_triangular(root, gradient, trans="T"), maxiter=30 * size)[0]
    return least
