"""Curves of one trial: three panels over the same images, the best report, and what is said of it."""

from dataclasses import replace
from functools import cache

import pytest
from drawn import TRICKY, assert_nothing_is_cut_off, heading, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from searched import report, trial

from benchmark.figures import trial_curves
from benchmark.records import TrialDetails, TrialState

CURVE = (
    report(1, 1000, 2.0, 1.9, 0.3, 0.1),
    report(2, 2000, 1.5, 1.4, 0.6, 0.2),
    report(3, 3000, 1.2, 1.3, 0.6, 0.0),
)
COMPLETE = TrialDetails(
    replace(trial(12, 0, 1, 0.65), images=3000, parameters={"label_smoothing": 0.125}), CURVE, best_step=2
)


def draw(of: TrialDetails, subject: str = "pets") -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    figure = trial_curves(of, epoch_images=1297, subject=subject)
    losses, accuracy, rate = figure.axes
    return figure, (losses, accuracy, rate)


@cache
def drawn() -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    """One drawing for the tests that only read it."""
    return draw(COMPLETE)


def series(axes: Axes) -> list[list[tuple[float, float]]]:
    """Points of every line with markers."""
    return [points(line) for line in axes.lines if line.get_marker() != "None"]


def test_words_and_units() -> None:
    figure, (losses, accuracy, rate) = drawn()
    assert heading(figure) == "Trial 12, cnn, complete: pets"
    assert losses.get_ylabel() == "Loss (nats)"
    assert accuracy.get_ylabel() == "Validation accuracy\n(%, log scale of errors)"
    assert rate.get_ylabel() == "Learning rate"
    assert rate.get_xlabel() == "Training images seen (an epoch has 1,297)"
    assert "on augmented images, label smoothing 0.12." in losses.get_title("left")
    assert accuracy.get_title("left") == "Best report: 60.00 %. Final score, all rows and views: 65.00 %."
    assert legend(figure) == [
        "training loss", "validation loss and accuracy", "final score", "learning rate", "best report: 2 of 3",
    ]  # fmt: skip
    assert_nothing_is_cut_off(figure)


def test_smoothing_that_a_family_has_for_itself_is_told_as_well() -> None:
    record = replace(COMPLETE.record, parameters={"cnn.label_smoothing": 0.25, "label_smoothing": 0.125})
    assert "label smoothing 0.25." in draw(replace(COMPLETE, record=record))[1][0].get_title("left")


def test_of_a_run_that_trains_on_validation_rows_nothing_is_said_of_validation() -> None:
    figure, (_, accuracy, _) = draw(replace(COMPLETE, trained_on="train+val", best_step=3))
    assert accuracy.get_title("left").startswith("It trains on the validation rows as well")
    assert legend(figure) == ["training loss", "validation loss and accuracy", "learning rate", "kept report: 3 of 3"]
    assert accuracy.get_ylim()[1] < 65
    assert_nothing_is_cut_off(figure)


def test_every_report_is_where_the_numbers_say() -> None:
    _, (losses, accuracy, rate) = drawn()
    assert series(losses) == [[(1000, 2.0), (2000, 1.5), (3000, 1.2)], [(1000, 1.9), (2000, 1.4), (3000, 1.3)]]
    assert series(accuracy) == [[(1000, pytest.approx(30)), (2000, pytest.approx(60)), (3000, pytest.approx(60))]]
    assert series(rate) == [[(1000, 0.1), (2000, 0.2), (3000, 0.0)]]


def test_training_accuracy_is_drawn_beside_validation_where_it_was_stored() -> None:
    curve = tuple(replace(one, train_accuracy=share) for one, share in zip(CURVE, (0.2, 0.5, 0.8), strict=True))
    figure, (_, accuracy, _) = draw(replace(COMPLETE, curve=curve))
    assert accuracy.get_ylabel() == "Accuracy\n(%, log scale of errors)"
    assert legend(figure)[:2] == ["training loss and accuracy", "validation loss and accuracy"]
    training, validation = series(accuracy)
    assert training == [(1000, pytest.approx(20)), (2000, pytest.approx(50)), (3000, pytest.approx(80))]
    assert validation == [(1000, pytest.approx(30)), (2000, pytest.approx(60)), (3000, pytest.approx(60))]
    low, high = accuracy.get_ylim()
    assert low < 20 < 80 < high
    assert_nothing_is_cut_off(figure)


def test_panels_share_their_images_up_to_the_budget() -> None:
    _, panels = drawn()
    for axes in panels:
        assert axes.get_xlim() == (0, pytest.approx(3060))
    _, (losses, *_) = draw(replace(COMPLETE, record=replace(COMPLETE.record, images=6000), curve=CURVE[:1]))
    assert losses.get_xlim() == (0, pytest.approx(6120))
    _, (losses, *_) = draw(replace(COMPLETE, record=replace(COMPLETE.record, images=None)))
    assert losses.get_xlim() == (0, pytest.approx(3060))


def marks(axes: Axes) -> list[float]:
    """Where vertical lines stand."""
    return [x for line in axes.lines for x in set(line.get_xdata()) if len(set(line.get_xdata())) == 1]


def test_the_best_report_is_the_one_whose_weights_were_taken() -> None:
    _, panels = drawn()
    assert [marks(axes) for axes in panels] == [[2000]] * 3
    _, panels = draw(replace(COMPLETE, best_step=1))
    assert [marks(axes) for axes in panels] == [[1000]] * 3


def test_without_weights_the_best_report_goes_by_accuracy_then_by_loss() -> None:
    pruned = replace(COMPLETE, record=replace(COMPLETE.record, state=TrialState.PRUNED, val_accuracy=None))
    # Reports 2 and 3 are equally right; the later has the lower loss.
    figure, panels = draw(replace(pruned, best_step=None))
    assert [marks(axes) for axes in panels] == [[3000]] * 3
    assert legend(figure)[-1] == "best report: 3 of 3"
    assert "final score" not in legend(figure)
    assert panels[1].get_title("left") == "Best report: 60.00 %."


def test_the_final_score_is_a_line_across() -> None:
    _, (_, accuracy, _) = drawn()
    (final,) = [line for line in accuracy.lines if len(set(line.get_ydata())) == 1 and line.get_marker() == "None"]
    assert final.get_ydata()[0] == pytest.approx(65)
    low, high = accuracy.get_ylim()
    assert low < 30 < 65 < high


def test_training_and_validation_are_told_apart_without_colour() -> None:
    _, (losses, *_) = drawn()
    training, validation = [line for line in losses.lines if line.get_marker() != "None"]
    assert training.get_marker() != validation.get_marker()
    assert training.get_linestyle() != validation.get_linestyle()


def test_a_single_report_is_drawn() -> None:
    figure, (losses, *_) = draw(replace(COMPLETE, curve=CURVE[:1], best_step=1))
    assert series(losses) == [[(1000, 2.0)], [(1000, 1.9)]]
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("name", TRICKY)
def test_names_are_never_markup(name: str) -> None:
    figure, _ = draw(COMPLETE, subject=name)
    assert_nothing_is_cut_off(figure)


def test_a_trial_without_a_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no curve of trial 12"):
        draw(replace(COMPLETE, curve=()))
