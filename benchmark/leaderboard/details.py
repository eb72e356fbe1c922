"""The later parts of a leaderboard's page: members, sizes, trials, classes and origin; ranks and scores nothing."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.diversity import mean_over_pairs
from benchmark.importance import FEWEST_TRIALS, SHUFFLES
from benchmark.leaderboard.board import Leaderboard, Members, StudySummary, Winner
from benchmark.leaderboard.pictures import pictures_of
from benchmark.leaderboard.pieces import cell, signed, table
from benchmark.records import Entrant, FamilyImportance, TrialState
from benchmark.wording import duration, percent

MOST_SHARES = 5
"""Parameters of a family that the page names."""
WIDEST_CONFUSION = 20
"""Classes up to which a page can show the confusion matrix."""


def figures_part(board: Leaderboard) -> list[str]:
    """The figures, beside the page in a folder of the study's name."""
    study = board.origin.study
    return [
        "## Figures",
        *(f"![{picture.caption}]({study}/{picture.name}.png)" for picture in pictures_of(board)),
    ]


def inside_part(members: Members | None) -> list[str]:
    """The recommended ensemble, member by member."""
    if members is None:
        return []
    rows = []
    for index, number in enumerate(members.numbers):
        others = [place for place in range(len(members.numbers)) if place != index]
        rows.append(
            [
                f"{'run' if members.part else 'trial'} {number}",
                members.families[index],
                "–" if members.weights is None else f"{100 * members.weights[index]:.0f}",
                percent(members.accuracies[index]),
                percent(float(members.disagreement[index, others].mean())),
                f"{members.error_correlation[index, others].mean():.2f}",
                "–" if members.contributions is None else signed(members.contributions[index]),
            ]
        )
    headings = ["Member", "Family", "Vote %", "Val. acc. %", "Disagrees with others on %", "Errors correlate", "Worth"]
    return [
        f"## Inside {cell(members.name)}",
        table(headings, rows, right=[False, False, True, True, True, True, True]),
        f"On validation. Two members disagree on {percent(mean_over_pairs(members.disagreement))} % of images on "
        f"average, and their errors correlate by {mean_over_pairs(members.error_correlation):.2f}. *Worth* is what the "
        "cross-fitted loss gains when the member is left out and the others are fitted again."
        + (f" Runs are those of `{members.part}`." if members.part else ""),
    ]


def sizes_part(board: Leaderboard) -> list[str]:
    """Accuracy by size, a table folded away."""
    if not board.sizes:
        return []
    rows = [
        [one.curve, str(one.size), str(one.members), percent(one.val_accuracy.value), percent(one.test_accuracy.value)]
        for one in board.sizes
    ]
    headings = ["Ensemble", "Size", "Members", "Val. acc. %", "Test acc. %"]
    whole = table(headings, rows, right=[False, True, True, True, True])
    return [
        "## Accuracy against size",
        "An ensemble's size is how many models its method is given, the best by validation, or how many greedy "
        "selection takes at most *from all*. Its members are those that have a vote.",
        f"<details>\n<summary>Every ensemble</summary>\n\n{whole}\n\n</details>",
    ]


def votes_part(board: Leaderboard) -> list[str]:
    """Who votes in every ensemble."""
    ensembles = [row.entrant for row in board.rows if not row.entrant.is_single]
    if not ensembles:
        return []
    rows = [[one.name, f"{f'runs of {one.part}: ' if one.part else ''}{votes(one)}"] for one in ensembles]
    return [
        "### Who votes",
        table(["Ensemble", "Trials, with their share of the vote"], rows),
    ]


def votes(entrant: Entrant) -> str:
    """Members by falling share: `12 (60 %), 7 (40 %)`; plain numbers where a method has no votes."""
    if entrant.weights is None:
        return f"{', '.join(map(str, entrant.members))} (inputs of a meta-learner)"
    shares = sorted(zip(entrant.members, entrant.weights, strict=True), key=lambda pair: -pair[1])
    return ", ".join(f"{member} ({100 * weight:.0f} %)" for member, weight in shares)


def study_part(board: Leaderboard) -> list[str]:
    """What the trials came to, by family, and why some failed; then the same of the runs that confirm."""
    parts = _spent(board.summary, "trials", board.origin.device)
    if board.confirming is not None:
        parts += ["### Finalists trained again", *_spent(board.confirming, "runs", board.origin.device)]
    return parts


def _spent(summary: StudySummary, called: str, device: str) -> list[str]:
    total = ("all", summary.trials, summary.states, None, summary.trial_seconds)
    families = [(f.family, f.trials, f.states, f.best_val_accuracy, f.trial_seconds) for f in summary.families]
    parts = [
        table(
            ["Family", called.capitalize(), *(state.value.capitalize() for state in TrialState),
             "Best val. acc. %", "Time"],
            [
                [name, str(trials), *(str(states[state]) for state in TrialState),
                 percent(best), duration(seconds)]
                for name, trials, states, best, seconds in [*families, total]
            ],
            right=[False] + [True] * (len(TrialState) + 3),
        ),
        f"Time is wall-clock time of {called}, added up over workers; of it {duration(summary.train_seconds)} were "
        f"training steps and {duration(summary.evaluation_seconds)} evaluation. "
        f"Device: {cell(', '.join(summary.devices) or device)}.",
    ]  # fmt: skip
    if summary.failures:
        rows = [[reason, str(number)] for reason, number in summary.failures]
        parts.append(table([f"Why {called} failed", called.capitalize()], rows, right=[False, True]))
    return parts


def importances_part(importances: Sequence[FamilyImportance]) -> list[str]:
    """Which parameters of each family accuracy depends on."""
    if not importances:
        return []
    rows = [
        [
            one.family,
            f"{one.trials:,}",
            one.left_out or _shares(one),
            f"{100 * one.chance:.0f}" if one.parameters else "–",
        ]
        for one in importances
    ]
    return [
        "## What accuracy depends on",
        table(
            ["Family", "Complete trials", "Parameters, with the share they explain", "By chance %"],
            rows,
            right=[False, True, False, True],
        ),
        "The share of the variance of validation accuracy, over the whole search space, that a parameter explains by "
        "itself (fANOVA, Hutter et al. 2014), as a random forest learns it from the complete trials. *By chance* is "
        f"the largest share of any parameter in {SHUFFLES} forests that learned from the same trials with their "
        "accuracies shuffled: what does not pass it may be nothing. A share takes "
        f"{FEWEST_TRIALS} complete trials that have the parameter.",
    ]


def _shares(one: FamilyImportance) -> str:
    """The most important parameters: `adamw.lr (31 %), width (12 %); 3 in too few trials`."""
    told = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in list(one.shares.items())[:MOST_SHARES])
    return f"{told}; {len(one.unassessed)} in too few trials" if one.unassessed else told


def classes_part(winner: Winner) -> list[str]:
    """The winner class by class."""
    scores = winner.scores
    rows = []
    for index, name in enumerate(winner.classes):
        confused = winner.confused_with(index)
        rows.append(
            [
                name,
                percent(scores.precision[index]),
                percent(scores.recall[index]),
                percent(scores.f1[index]),
                f"{scores.support[index]:,}",
                "–" if confused is None else f"{confused[0]} ({confused[1]:,})",
            ]
        )
    headings = ["Class", "Precision %", "Recall %", "F1 %", "Images", "Most often taken for"]
    parts = ["On test.", table(headings, rows, right=[False, True, True, True, True, False])]
    if len(winner.classes) <= WIDEST_CONFUSION:
        cells = [[name, *map(str, row)] for name, row in zip(winner.classes, winner.confusion.tolist(), strict=True)]
        matrix = table(["label \\ predicted", *winner.classes], cells, right=[False] + [True] * len(cells))
        parts.append(f"<details>\n<summary>Confusion matrix</summary>\n\n{matrix}\n\n</details>")
    return parts


def origin_part(board: Leaderboard) -> list[str]:
    """Everything that the numbers depend on."""
    origin = board.origin
    facts = [
        ("Study", origin.study),
        ("Program at commit", f"`{origin.commit}`"),
        ("This page written at commit", f"`{origin.page_commit}`"),
        ("Seed of the study", str(origin.seed)),
        ("Seed of the split", str(origin.split_seed)),
        ("Data set", origin.dataset),
        ("Data fingerprint (SHA-256)", f"`{origin.dataset_fingerprint}`"),
        ("Split (SHA-256 of validation rows)", f"`{origin.split_digest}`"),
        ("Images: train / validation / test", f"{origin.train_rows:,} / {origin.val_rows:,} / {origin.test_rows:,}"),
        ("Interval", board.interval),
        ("Device", origin.device),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items()))),
    ]
    commands = "\n".join(origin.commands)
    return [table(["", ""], facts), f"```sh\n{commands}\n```"]
