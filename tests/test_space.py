"""The joint space of a study: narrowed, with the expert's values inside it, and asked for no more than is active."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.architectures import ARCHITECTURES
from benchmark.augmentations import AUGMENTATIONS
from benchmark.averaging import AVERAGINGS
from benchmark.definition import StudySpec, parse_study
from benchmark.errors import BenchError, UnknownNameError
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import Budget, Choice, ParameterValue
from benchmark.registry import contains
from benchmark.schedules import SCHEDULES
from benchmark.space import GROWTH_SPACE, TRAINING_SPACE, Space, narrowed, nearest

HEAD = """\
dataset = "digits"
families = ["cnn", "resnet", "vgg"]
augmentations = ["crop", "rotation"]
optimizers = ["sgd", "adamw"]
schedules = ["one_cycle", "cosine"]
averagings = ["ema", "lookahead"]
precision = "float32"
"""
BUDGET = """\
[budget]
epochs = 2
reports = 3
patience = 2
report_share = 0.5
"""


def space_of(tail: str = "", head: str = HEAD) -> Space:
    return Space(parse_study("mine", head + BUDGET + tail, "mine.toml"))


def everything() -> Space:
    spec = StudySpec(
        name="all",
        dataset="digits",
        families=tuple(ARCHITECTURES),
        budget=space_of().spec.budget,
        augmentations=tuple(AUGMENTATIONS),
        optimizers=tuple(OPTIMIZERS),
        schedules=tuple(SCHEDULES),
        averagings=tuple(AVERAGINGS),
    )
    return Space(spec)


NARROW = """\
[space]
batch_size = [512, 1024]
averaging = ["lookahead"]
start_size = [1.0]
optimizer = ["adamw"]
crop = [false]
cnn.width = { low = 48, high = 64 }
resnet.depth = [20]
sgd.lr = { low = 1.0 }
adamw.lr = { low = 1e-3, high = 1e-2 }
"""


@pytest.mark.parametrize("space", [space_of(), space_of(NARROW), everything()], ids=["full", "narrow", "everything"])
def test_the_experts_values_lie_in_the_space(space: Space) -> None:
    for family in space.spec.families:
        expert = space.expert(family)
        distributions = space.distributions(expert)
        assert all(contains(distributions[name], value) for name, value in expert.items())


def test_the_expert_is_the_registered_default_where_nothing_is_narrowed() -> None:
    space = everything()
    for family in space.spec.families:
        expert = space.expert(family)
        assert {
            f"{family}.{key}": value for key, value in ARCHITECTURES[family].defaults.items()
        }.items() <= expert.items()
        recipe = ARCHITECTURES[family].tags.get("recipe", {})
        assert all(expert[name] == value for name, value in recipe.items() if name in expert)
        inactive = [name for name in recipe if name not in expert]
        assert all(name.split(".")[0] in {*OPTIMIZERS, *SCHEDULES, *AUGMENTATIONS, *AVERAGINGS} for name in inactive)


def test_the_expert_of_a_narrowed_space() -> None:
    expert = space_of(NARROW).expert("cnn")
    assert (expert["batch_size"], expert["optimizer"], expert["crop"]) == (512, "adamw", False)
    assert (expert["averaging"], expert["start_size"], expert["views"]) == ("lookahead", 1.0, "one")
    assert "lookahead.decay" in expert
    assert "ema.decay" not in expert
    assert expert["cnn.width"] == 48
    assert "sgd.lr" not in expert


def test_a_recipe_overrides_the_default() -> None:
    tail = '[recipe.resnet]\nresnet.depth = 20\noptimizer = "adamw"\nadamw.lr = 0.01\n'
    space = space_of(tail)
    expert = space.expert("resnet")
    assert (expert["resnet.depth"], expert["optimizer"], expert["adamw.lr"]) == (20, "adamw", 0.01)
    assert space.expert("vgg") == space_of().expert("vgg")


class Asker:
    """Answers with the first choice or the low end, and remembers the questions."""

    def __init__(self, **answers: ParameterValue) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __call__(self, name: str, distribution: BaseDistribution) -> Any:
        self.asked.append(name)
        if name in self._answers:
            return self._answers[name]
        return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low  # type: ignore[attr-defined]


def test_only_active_parameters_are_asked_for_once_and_in_a_fixed_order() -> None:
    space = space_of()
    ask = Asker(optimizer="adamw", schedule="cosine", crop=False, rotation=True, averaging="lookahead")
    config = space.configure("resnet", ask, seed=9)
    assert ask.asked == list(dict.fromkeys(ask.asked))
    prefixes = {name.split(".")[0] for name in ask.asked if "." in name}
    assert prefixes == {"resnet", "adamw", "cosine", "rotation", "lookahead"}
    assert {"optimizer", "schedule", "crop", "rotation", "averaging", *TRAINING_SPACE, *GROWTH_SPACE} <= set(ask.asked)
    again = Asker(optimizer="adamw", schedule="cosine", crop=False, rotation=True, averaging="lookahead")
    assert space.configure("resnet", again, seed=9) == config
    assert again.asked == ask.asked


def test_the_configuration_is_what_was_answered() -> None:
    config = space_of().configure("resnet", Asker(optimizer="adamw", crop=False, rotation=True), seed=9)
    assert (config.architecture.name, config.optimizer.name, config.schedule.name) == ("resnet", "adamw", "one_cycle")
    assert set(config.architecture.params) == set(ARCHITECTURES["resnet"].space)
    assert config.optimizer.params["lr"] == 1e-4
    assert [choice.name for choice in config.augmentations] == ["rotation"]
    assert config.averaging == Choice("ema", {"decay": 0.9})
    assert (config.batch_size, config.start_size, config.views, config.seed) == (64, 0.5, "one", 9)
    assert (config.budget, config.reports, config.patience) == (Budget(epochs=2), 3, 2)
    assert (config.report_share, config.precision) == (0.5, "float32")


def test_images_grow_only_where_a_network_takes_any_size() -> None:
    for family in ARCHITECTURES:
        ask = Asker(start_size=0.625)
        config = everything().configure(family, ask, seed=0)
        grows = bool(ARCHITECTURES[family].tags.get("any_size"))
        assert ("start_size" in ask.asked) == grows
        assert config.start_size == (0.625 if grows else 1.0)


OWN = """\
[space]
batch_size = [512, 1024]
resnet.batch_size = [64, 128]
resnet.start_size = [1.0]
"""


def test_a_family_has_a_training_parameter_of_its_own_where_the_study_narrows_it() -> None:
    space = space_of(OWN)
    ask = Asker(**{"resnet.batch_size": 128})
    config = space.configure("resnet", ask, seed=0)
    assert (config.batch_size, config.start_size) == (128, 1.0)
    assert {"resnet.batch_size", "resnet.start_size"} <= set(ask.asked)
    assert not {"batch_size", "start_size"} & set(ask.asked)
    assert config.architecture.params == space_of().configure("resnet", Asker(), seed=0).architecture.params
    others = Asker()
    assert space.configure("cnn", others, seed=0).batch_size == 512
    assert not [name for name in others.asked if name.startswith("resnet.")]


def test_a_familys_own_parameter_is_not_bound_to_what_the_others_share() -> None:
    space = space_of(OWN)
    assert ARCHITECTURES["resnet"].tags["recipe"]["batch_size"] == 128
    assert space.expert("resnet")["resnet.batch_size"] == 128
    assert space.expert("cnn")["batch_size"] == 512
    for name in ("batch_size", '"resnet.batch_size"'):
        recipe = f"[recipe.resnet]\n{name} = 64\n"
        assert space_of(OWN + recipe).expert("resnet")["resnet.batch_size"] == 64
    with pytest.raises(BenchError, match="gives a parameter twice"):
        space_of(OWN + '[recipe.resnet]\nbatch_size = 64\n"resnet.batch_size" = 128\n')
    with pytest.raises(BenchError, match=r"resnet.batch_size = 512 lies outside"):
        space_of(OWN + "[recipe.resnet]\nbatch_size = 512\n")


@pytest.mark.parametrize(
    ("head", "tail", "wrong", "right"),
    [
        (HEAD.replace('"resnet"', '"resnt"'), "", "resnt", "resnet"),
        (HEAD.replace('"adamw"', '"adam"'), "", "adam", "adamw"),
        (HEAD.replace('"cosine"', '"cosin"'), "", "cosin", "cosine"),
        (HEAD.replace('"crop"', '"corp"'), "", "corp", "crop"),
        (HEAD, "[space]\nresnet.dept = [8]\n", "resnet.dept", "resnet.depth"),
        (HEAD, "[space]\nbatchsize = [64]\n", "batchsize", "batch_size"),
        (HEAD, "[space]\nvg.batch_size = [64]\n", "vg.batch_size", "batch_size"),
        (HEAD.replace('"lookahead"', '"lookahaed"'), "", "lookahaed", "lookahead"),
        (HEAD, "[space]\nsgd.lr = { low = 0.1, hihg = 1 }\n", "hihg", "high"),
        (HEAD, "[recipe.resnt]\nbatch_size = 64\n", "resnt", "resnet"),
        (HEAD, "[recipe.resnet]\nbatchsize = 64\n", "batchsize", "batch_size"),
    ],
)
def test_an_unknown_name_gets_the_nearest(head: str, tail: str, wrong: str, right: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{wrong}'.*did you mean '{right}'"):
        space_of(tail, head)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("[space]\nbatch_size = [100]\n", "100 lies outside"),
        ("[space]\nresnet.batch_size = [100]\n", "100 lies outside"),
        ('[space]\nbatch_size = ["64"]\n', "'64' lies outside"),
        ("[space]\ncrop = [1]\n", "1 lies outside"),
        ("[space]\nbatch_size = []\n", "give a list of values"),
        ("[space]\nbatch_size = 64\n", "give a list of values"),
        ("[space]\nbatch_size = { low = 64 }\n", "give a list of values"),
        ("[space]\nsgd.lr = { low = 0.0001 }\n", "lies outside"),
        ("[space]\nsgd.lr = { high = 50 }\n", "lies outside"),
        ("[space]\nsgd.lr = { low = 1.0, high = 0.1 }\n", "lies outside"),
        ('[space]\nsgd.lr = { low = "a" }\n', "is no range"),
        ("[space]\nsgd.lr = { low = 0.1, step = 0.1 }\n", "is no range"),
        ("[recipe.resnet]\nbatch_size = 100\n", "lies outside"),
        ('[recipe.cnn]\ncnn.width = "32"\n', "lies outside"),
        ("[recipe.cnn]\ncnn.width = 33\n", "lies outside"),
        ("[space]\nbatch_size = [64]\n[recipe.resnet]\nbatch_size = 128\n", "lies outside"),
    ],
)
def test_what_is_refused(tail: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        space_of(tail)


def test_narrowed() -> None:
    full = FloatDistribution(0.1, 1.0, log=True)
    assert narrowed("x", full, {"low": 0.2}) == FloatDistribution(0.2, 1.0, log=True)
    assert narrowed("x", full, [0.1, 0.5]) == CategoricalDistribution((0.1, 0.5))
    assert narrowed("x", IntDistribution(16, 64, step=16), {"high": 48}) == IntDistribution(16, 48, step=16)
    words = CategoricalDistribution(("a", "b"))
    assert narrowed("x", words, ["c"], is_open=True) == CategoricalDistribution(("c",))
    with pytest.raises(BenchError, match="'c' lies outside"):
        narrowed("x", words, ["c"])


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (CategoricalDistribution((64, 128)), 128, 128),
        (CategoricalDistribution((64, 256)), 200, 256),
        (CategoricalDistribution(("a", "b")), "c", "a"),
        (CategoricalDistribution((False,)), True, False),
        (FloatDistribution(0.1, 1.0), 0.5, 0.5),
        (FloatDistribution(0.1, 1.0), 7.0, 1.0),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.4, 0.5),
        (IntDistribution(16, 64, step=16), 30, 32),
        (IntDistribution(16, 64, step=16), 1000, 64),
        (IntDistribution(16, 64, step=16), 0, 16),
    ],
)
def test_nearest(distribution: BaseDistribution, value: ParameterValue, expected: ParameterValue) -> None:
    found = nearest("a", distribution, value)
    assert found == expected
    assert type(found) is type(expected)
    assert contains(distribution, found)


def test_a_limit_that_is_off_is_nearest_to_the_loosest() -> None:
    limits = CategoricalDistribution((0.0, 5.0))
    assert nearest("a", limits, 1.0) == 0.0
    assert nearest("clip_norm", limits, 1.0) == 5.0
    assert nearest("clip_norm", limits, 0.0) == 0.0
    assert nearest("clip_norm", CategoricalDistribution((1.0, 5.0)), 0.0) == 5.0
    assert nearest("resnet.clip_norm", limits, 1.0) == 5.0


def test_what_is_not_mirrored_in_training_is_not_asked_about_in_a_mirror() -> None:
    text = 'dataset = "digits"\nfamilies = ["cnn"]\naugmentations = {}\n[budget]\nepochs = 1\n'
    mirrored = Space(parse_study("mine", text.format('["flip", "crop"]'), "mine.toml"))
    plain = Space(parse_study("mine", text.format('["crop"]'), "mine.toml"))
    told = Space(parse_study("mine", text.format('["crop"]') + '[space]\nviews = ["two"]\n', "mine.toml"))
    assert mirrored.expert("cnn")["views"] == "two"
    assert plain.expert("cnn")["views"] == "one"
    assert plain.distributions(["views"])["views"].single()
    assert told.expert("cnn")["views"] == "two"
