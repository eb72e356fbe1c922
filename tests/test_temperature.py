"""The fitted temperature against a closed form and against scipy's minimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from benchmark.temperature import HIGHEST, LOWEST, fit_temperature


@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.999])
def test_constant_confidence_is_scaled_to_the_share_of_right_rows(confidence: float) -> None:
    # Right on three rows of four: the best constant confidence is 3/4, and the loss is the entropy of (3/4, 1/4).
    probs = np.array([[confidence] * 3 + [1 - confidence], [1 - confidence] * 3 + [confidence]], np.float32)
    fitted = fit_temperature(np.log(probs), np.zeros(4, np.int64))
    log_odds = np.log(confidence / (1 - confidence))
    assert fitted.temperature == pytest.approx(log_odds / np.log(3), rel=1e-3)
    assert fitted.log_loss == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-6)


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("start", [0.1, 1.0, 15.0])
def test_equals_bounded_minimisation(scale: float, start: float) -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(size=(5, 400))
    logits[labels, np.arange(400)] += 1.2
    logits = (logits * scale).astype(np.float32)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits.astype(float) / temperature, axis=0)[labels, np.arange(400)].mean())

    expected = minimize_scalar(loss, bounds=(LOWEST, HIGHEST), method="bounded", options={"xatol": 1e-8})
    fitted = fit_temperature(logits, labels, start=start)
    assert fitted.temperature == pytest.approx(expected.x, rel=1e-3)
    assert fitted.log_loss == pytest.approx(expected.fun, abs=1e-6)


def test_rows_all_right_end_at_the_lowest_and_useless_rows_at_the_highest() -> None:
    logits = np.array([[0.2, 0.1], [0.0, 0.0]], np.float32)
    assert fit_temperature(logits, np.array([0, 0])).temperature == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(logits, np.array([1, 1])).temperature == pytest.approx(HIGHEST, rel=1e-3)


def test_uniform_rows_cost_the_log_of_the_classes() -> None:
    assert fit_temperature(np.zeros((4, 3), np.float32), np.array([0, 1, 2])).log_loss == pytest.approx(np.log(4))
