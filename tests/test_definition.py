"""A study's definition is checked key by key, and says what would have been right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.definition import check_study_name, load_study, parse_study, shipped_studies, write_template
from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import Budget
from benchmark.space import Space

SMALL = """\
dataset = "digits"
families = ["cnn", "resnet"]
seed = 4
[budget]
epochs = 2
"""


def parsed(text: str = SMALL, name: str = "mine") -> Any:
    return parse_study(name, text, "mine.toml")


def test_values_and_defaults() -> None:
    spec = parsed(SMALL + 'reports = 3\n[split]\nval = 0.2\n[search]\nsampler = "random"\nprune_after = 1\n')
    assert spec.families == ("cnn", "resnet")
    assert spec.budget.per_trial == Budget(epochs=2)
    assert (spec.seed, spec.budget.reports, spec.split.val, spec.split.seed) == (4, 3, 0.2, 0)
    assert (spec.search.sampler, spec.search.prune_after, spec.search.trials) == ("random", 1, 100)


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("familes = []\n" + SMALL, "familes", "families"),
        (SMALL + "epoch = 3\n", "epoch", "epochs"),
        (SMALL + "[search]\ntrails = 3\n", "trails", "trials"),
        (SMALL + "[split]\nsede = 3\n", "sede", "seed"),
        (SMALL + '[search]\nsampler = "tep"\n', "tep", "tpe"),
        (SMALL + '[search]\npruner = "halfing"\n', "halfing", "halving"),
        ('precision = "float23"\n' + SMALL, "float23", "float32"),
    ],
)
def test_an_unknown_word_gets_the_nearest(text: str, wrong: str, right: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{wrong}'.*did you mean '{right}'"):
        parsed(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset = \n", "not valid TOML"),
        ('dataset = "digits"\nfamilies = ["cnn"]\n', "needs a value for 'budget'"),
        ('families = ["cnn"]\n[budget]\nepochs = 1\n', "needs a value for 'dataset'"),
        (SMALL.replace("seed = 4", "seed = true"), "seed is of type int"),
        (SMALL.replace("seed = 4", "seed = 4.0"), "seed is of type int"),
        (SMALL.replace("seed = 4", "seed = -1"), "seed is at least 0"),
        (SMALL.replace('"digits"', "3"), "dataset is of type str"),
        (SMALL.replace('["cnn", "resnet"]', '"cnn"'), "families is a list of names"),
        (SMALL.replace('["cnn", "resnet"]', "[1]"), "families is a list of names"),
        (SMALL.replace('["cnn", "resnet"]', '["cnn", "cnn"]'), "names something twice"),
        (SMALL.replace('["cnn", "resnet"]', "[]"), "must name at least one"),
        ("optimizers = []\n" + SMALL, "must name at least one"),
        ("averagings = []\n" + SMALL, "averagings must name at least one"),
        ('averagings = "ema"\n' + SMALL, "averagings is a list of names"),
        ("budget = 3\n" + SMALL.split("[budget]", maxsplit=1)[0], "budget is a table"),
        (SMALL + "reports = true\n", "budget.reports is of type int"),
        (SMALL + "reports = 2.5\n", "budget.reports is of type int"),
        (SMALL + "adapts = 1\n", "budget.adapts is of type bool"),
        (SMALL + "adapts = true\n", "only a budget in seconds adapts"),
        (SMALL + "reports = 0\n", "budget.reports is at least 1"),
        (SMALL + "report_share = 0\n", "report_share above 0"),
        (SMALL + "patience = -1\n", "patience at least 0"),
        (SMALL.replace("epochs = 2", 'epochs = "2"'), "budget.epochs is of type float"),
        (SMALL.replace("epochs = 2", "epochs = true"), "budget.epochs is of type float"),
        (SMALL.replace("epochs = 2", "epochs = inf"), "either epochs or seconds"),
        (SMALL.replace("epochs = 2", "epochs = 0"), "either epochs or seconds"),
        (SMALL.replace("epochs = 2", "reports = 2"), "either epochs or seconds"),
        (SMALL + "seconds = 3\n", "either epochs or seconds"),
        (SMALL + "[split]\nval = 0\n", "split.val is a number of rows"),
        (SMALL + "[split]\nval = nan\n", "split.val is a number of rows"),
        (SMALL + '[split]\nval = "1"\n', "split.val is of type int"),
        (SMALL + "[split]\nseed = -1\n", "split.seed is at least 0"),
        (SMALL + "[search]\ntrials = 0\n", "search.trials is at least 1"),
        (SMALL + "[search]\nkeep_weights = -1\n", "keep_weights at least 0"),
        (SMALL + "[search]\nprune_after = 1.1\n", "share between 0 and 1"),
        (SMALL + "[search]\nfamily_floor = -0.1\n", "share between 0 and 1"),
        ("space = 3\n" + SMALL, "space is a table"),
        ("recipe = 3\n" + SMALL, "recipe is a table"),
        (SMALL + "[recipe]\nresnet = 3\n", "recipe.resnet is a table"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parsed(text)


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "", ".", "..", "a\\b", ".hidden", "-x", "a b", "a\n", "x" * 101, "a..b"]
)
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    for refuse in (
        check_study_name,
        lambda name: load_study(name, tmp_path),
        lambda name: write_template(name, tmp_path),
    ):
        with pytest.raises(BenchError, match="is not a study name"):
            refuse(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "cifar10-cpu", "My_study.2", "x" * 100])
def test_a_good_name(name: str) -> None:
    assert check_study_name(name) == name


def test_identity_ignores_what_changes_no_result() -> None:
    identity = parsed().identity()
    assert identity == parsed(SMALL + "[search]\ntrials = 7\nkeep_weights = 0\n", name="other").identity()
    assert json.loads(json.dumps(identity)) == identity


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SMALL.replace("seed = 4", "seed = 5"), "seed"),
        (SMALL.replace("epochs = 2", "epochs = 3"), "budget.epochs"),
        (SMALL + "[split]\nseed = 1\n", "split.seed"),
        (SMALL + '[search]\npruner = "none"\n', "search.pruner"),
        (SMALL + "[space]\nresnet.depth = [8]\n", "space.resnet.depth"),
        (SMALL + "[recipe.resnet]\nresnet.depth = 8\n", "recipe.resnet.resnet.depth"),
    ],
)
def test_identity_names_what_differs(text: str, key: str) -> None:
    before, now = parsed().identity(), parsed(text).identity()
    assert {name for name in {*before, *now} if before.get(name) != now.get(name)} - {"space", "recipe"} == {key}


def test_dotted_and_quoted_keys_of_the_space_mean_the_same() -> None:
    dotted = parsed(SMALL + "[space]\nresnet.depth = [8]\nsgd.lr = { low = 0.1, high = 0.2 }\n")
    quoted = parsed(SMALL + '[space]\n"resnet.depth" = [8]\n"sgd.lr" = { low = 0.1, high = 0.2 }\n')
    assert dotted.space == quoted.space == {"resnet.depth": [8], "sgd.lr": {"low": 0.1, "high": 0.2}}


def test_the_template_is_a_study(tmp_path: Path) -> None:
    path = write_template("mine", tmp_path)
    assert path == tmp_path / "studies" / "mine.toml"
    spec = load_study("mine", tmp_path)
    assert Space(spec).spec.name == "mine"
    # The commented examples hold as well.
    text = path.read_text().replace('# "', '"').replace("# [recipe.resnet] ", "[recipe.resnet] ")
    assert "\n[recipe.resnet]" in text
    changed = parse_study("mine", text, "mine.toml")
    assert changed.recipe == {"resnet": {"resnet.depth": 14}}
    assert Space(changed).expert("resnet")["resnet.depth"] == 14


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = write_template("mine", tmp_path)
    path.write_text(SMALL)
    with pytest.raises(BenchError, match="exists; choose another name"):
        write_template("mine", tmp_path)
    assert path.read_text() == SMALL


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_shipped_studies_are_copied_and_hold(name: str, tmp_path: Path) -> None:
    space = Space(load_study(name, tmp_path))
    copied = tmp_path / "studies" / f"{name}.toml"
    assert copied.read_bytes() == shipped_studies()[name].read_bytes()
    for family in space.spec.families:
        assert space.expert(family)


def test_the_shipped_studies_are_the_documented_ones() -> None:
    assert {"cifar10", "cifar10-cpu", "digits"} <= set(shipped_studies())


def test_a_users_own_file_wins_over_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "digits.toml"
    path.parent.mkdir()
    path.write_text(SMALL)
    assert load_study("digits", tmp_path).seed == 4
    assert path.read_text() == SMALL


def test_an_unknown_study_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load_study("digit", tmp_path)
    write_template("mystudy", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'mystudy'"):
        load_study("mystud", tmp_path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = write_template("mine", tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="cannot read"):
        load_study("mine", tmp_path)
