"""How one trial trained, report by report: loss, accuracy and learning rate; compares it with no other."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from benchmark.figures.error_scale import ERROR_SCALE, set_error_scale
from benchmark.figures.style import GREY, Look, add_legend, look, new_figure
from benchmark.records import ProgressRecord, TrialDetails, TrialState

TRAINING, VALIDATION, RATE = look(0), look(1), look(2)


def trial_curves(trial: TrialDetails, *, epoch_images: int, subject: str) -> Figure:
    """Losses, accuracies and learning rate over training images seen, in three panels above each other.

    A vertical line marks the best report: the one that the weights are from, and of a trial that did not complete the
    one of highest accuracy, then of lowest loss. `epoch_images` are the images of one pass; `subject` is what the title
    says was studied. Raises ValueError where the trial has no curve.
    """
    curve, record = trial.curve, trial.record
    if not curve:
        raise ValueError(f"there is nothing to draw: no curve of trial {record.number} is stored")
    best = _best(trial)
    title = f"Trial {record.number}, {record.family}, {record.state}"
    with new_figure(title, subject, height=7.2) as figure:
        losses, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(1.2, 1.2, 0.8))
        for axes in (losses, accuracy, rate):
            axes.axvline(best.images_seen, color=GREY, linestyle=(0, (1, 1)), linewidth=1.2, zorder=1.5)
        lines = _draw_losses(losses, trial)
        lines |= _draw_accuracy(accuracy, trial, best)
        lines["learning rate"] = _draw(rate, curve, [report.learning_rate for report in curve], RATE)
        rate.set(xlabel=f"Training images seen (an epoch has {epoch_images:,})", ylabel="Learning rate", ylim=(0, None))
        # Up to what its budget bought: a trial that ended early shows how far it came.
        rate.set_xlim(0, 1.02 * max(record.images or 0, curve[-1].images_seen))
        rate.xaxis.set_major_locator(MaxNLocator(steps=(1, 2, 5, 10)))
        rate.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        kept = "best" if trial.trained_on == "train" else "kept"
        mark = Line2D([], [], color=GREY, linestyle=(0, (1, 1)), linewidth=1.2)
        add_legend(figure, [*lines.values(), mark], [*lines, f"{kept} report: {best.step} of {len(curve)}"])
    return figure


def _best(trial: TrialDetails) -> ProgressRecord:
    kept = [report for report in trial.curve if report.step == trial.best_step]
    return max(kept or trial.curve, key=lambda report: (report.val_accuracy, -report.val_loss))


def _draw_losses(axes: Axes, trial: TrialDetails) -> dict[str, Line2D]:
    parameters = trial.record.parameters
    smoothing = parameters.get(f"{trial.record.family}.label_smoothing", parameters.get("label_smoothing"))
    smoothed = f", label smoothing {smoothing:.2g}" if isinstance(smoothing, float) and smoothing else ""
    axes.set_title(f"Training: mean since the report before, on augmented images{smoothed}. Validation: at the report.")
    axes.set_ylabel("Loss (nats)")
    training = _draw(axes, trial.curve, [report.train_loss for report in trial.curve], TRAINING)
    validation = _draw(axes, trial.curve, [report.val_loss for report in trial.curve], VALIDATION)
    both = "training loss" if _trained(trial) is None else "training loss and accuracy"
    return {both: training, "validation loss and accuracy": validation}


def _draw_accuracy(axes: Axes, trial: TrialDetails, best: ProgressRecord) -> dict[str, Line2D]:
    shares, trained = [report.val_accuracy for report in trial.curve], _trained(trial)
    has_learned_them = trial.trained_on != "train"
    final = None if has_learned_them else trial.record.val_accuracy
    shown = [*shares, *(trained or ()), *(() if final is None else (final,))]
    set_error_scale(axes, shown, above=0.08, below=0.08)
    axes.set_ylabel(f"{'Validation accuracy' if trained is None else 'Accuracy'}\n({ERROR_SCALE})")
    title = f"Best report: {100 * best.val_accuracy:.2f} %."
    if has_learned_them:
        title = "It trains on the validation rows as well: how many of them it has right says nothing of others."
    lines = {}
    if trial.record.state is TrialState.COMPLETE and final is not None:
        title += f" Final score, all rows and views: {100 * final:.2f} %."
        lines["final score"] = axes.axhline(100 * final, color=GREY, linestyle="--", linewidth=1.2, zorder=1.5)
    axes.set_title(title)
    if trained is not None:
        _draw(axes, trial.curve, [100 * share for share in trained], TRAINING)
    _draw(axes, trial.curve, [100 * share for share in shares], VALIDATION)
    return lines


def _trained(trial: TrialDetails) -> list[float] | None:
    """Training accuracy at each report; None where it was not stored."""
    found = [report.train_accuracy for report in trial.curve if report.train_accuracy is not None]
    return found if len(found) == len(trial.curve) else None


def _draw(axes: Axes, curve: tuple[ProgressRecord, ...], values: list[float], of: Look) -> Line2D:
    (line,) = axes.plot(
        [report.images_seen for report in curve],
        values,
        color=of.color,
        marker=of.marker,
        linestyle=of.line,
        markeredgecolor="white",
        markeredgewidth=0.7,
        clip_on=False,
        zorder=3,
    )
    return line
