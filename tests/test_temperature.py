"""The fitted temperature against a closed form and against scipy's minimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from benchmark.temperature import HIGHEST, LOWEST, cross_fitted, expand, fit_temperature


@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.999])
def test_constant_confidence_is_scaled_to_the_share_of_right_rows(confidence: float) -> None:
    # Right on three rows of four: the best constant confidence is 3/4, and the loss is the entropy of (3/4, 1/4).
    probs = np.array([[confidence] * 3 + [1 - confidence], [1 - confidence] * 3 + [confidence]], np.float32)
    fitted = fit_temperature(np.log(probs), np.zeros(4, np.int64))
    log_odds = np.log(confidence / (1 - confidence))
    assert fitted.temperature == pytest.approx(log_odds / np.log(3), rel=1e-3)
    assert fitted.log_loss == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-6)


def random_logits(scale: float, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 5, rows)
    logits = rng.normal(size=(5, rows))
    logits[labels, np.arange(rows)] += 1.2
    return (logits * scale).astype(np.float32), labels


def loss_at(inverse: float, logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits.astype(float) * inverse, axis=0)[labels, np.arange(len(labels))].mean())


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("start", [0.1, 1.0, 15.0])
def test_equals_bounded_minimisation(scale: float, start: float) -> None:
    logits, labels = random_logits(scale)
    expected = minimize_scalar(
        lambda temperature: loss_at(1 / temperature, logits, labels),
        bounds=(LOWEST, HIGHEST),
        method="bounded",
        options={"xatol": 1e-8},
    )
    fitted = fit_temperature(logits, labels, start=start)
    assert fitted.temperature == pytest.approx(expected.x, rel=1e-3)
    assert fitted.log_loss == pytest.approx(expected.fun, abs=1e-6)


def test_rows_all_right_end_at_the_lowest_and_useless_rows_at_the_highest() -> None:
    logits = np.array([[0.2, 0.1], [0.0, 0.0]], np.float32)
    assert fit_temperature(logits, np.array([0, 0])).temperature == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(logits, np.array([1, 1])).temperature == pytest.approx(HIGHEST, rel=1e-3)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_prior_rows_smooth_the_labels_whatever_the_temperature_of_the_logits(scale: float) -> None:
    logits, labels = random_logits(1.0, rows=40)
    share = 5 / (40 + 5)

    def smoothed(inverse: float) -> float:
        of_any_class = float(-log_softmax(logits.astype(float) * inverse, axis=0).mean())
        return (1 - share) * loss_at(inverse, logits, labels) + share * of_any_class

    expected = minimize_scalar(smoothed, bounds=(1 / HIGHEST, 1 / LOWEST), method="bounded", options={"xatol": 1e-8})
    found = fit_temperature(logits * np.float32(scale), labels, prior_rows=5.0)
    assert found.temperature == pytest.approx(scale / expected.x, rel=1e-3)


def test_one_error_costs_less_than_three_of_its_kind() -> None:
    """Where the other folds have no error they would sharpen without bound, and the one error cost more than three."""

    def log_probs_with(errors: int) -> np.ndarray:
        gaps = np.full(300, 4.0)
        gaps[:errors] = -1.25  # neighbours are in different folds
        logits = np.stack([gaps, np.zeros(300)], axis=1)
        return np.asarray(log_softmax(logits, axis=1), np.float32)

    labels, folds = np.zeros(300, np.int64), np.arange(300) % 5
    one, three = (-cross_fitted(log_probs_with(errors), labels, folds)[:, 0].mean() for errors in (1, 3))
    assert one < 0.7 * three


def test_uniform_rows_cost_the_log_of_the_classes() -> None:
    assert fit_temperature(np.zeros((4, 3), np.float32), np.array([0, 1, 2])).log_loss == pytest.approx(np.log(4))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_expansion_is_of_the_inverse_temperature(temperature: float) -> None:
    logits, labels = random_logits(1.0)
    here, step = expand(logits, labels, temperature), 1e-3
    below, at, above = (loss_at(1 / temperature + move, logits, labels) for move in (-step, 0, step))
    assert here.inverse == 1 / temperature
    assert here.log_loss == pytest.approx(at, abs=1e-6)
    assert here.slope == pytest.approx((above - below) / (2 * step), abs=1e-4)
    assert here.curvature == pytest.approx((above - 2 * at + below) / step**2, rel=1e-3)


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
def test_near_expansion_bounds_the_loss_and_all_but_finds_the_temperature(scale: float) -> None:
    logits, labels = random_logits(scale)
    fitted = fit_temperature(logits, labels)
    near = 0
    for factor in np.linspace(0.9, 1.1, 41):
        here = expand(logits, labels, fitted.temperature * factor)
        if here.is_near:
            near += 1
            assert here.lower_bound <= fitted.log_loss + 1e-8
            assert here.log_loss - here.lower_bound <= 2.5 * (here.log_loss - fitted.log_loss) + 1e-7
            assert here.temperature == pytest.approx(fitted.temperature, rel=5e-3)
    assert near >= 15


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.3, 5.0])
def test_expansion_that_is_far_away_bounds_nothing(factor: float) -> None:
    logits, labels = random_logits(1.0)
    far = expand(logits, labels, fit_temperature(logits, labels).temperature * factor)
    assert not far.is_near
    assert far.lower_bound == -np.inf


def test_expansion_of_uniform_rows_tells_nothing() -> None:
    here = expand(np.zeros((4, 3), np.float32), np.array([0, 1, 2]), 1.0)
    assert here.log_loss == pytest.approx(np.log(4))
    assert not here.is_near
