"""Parameters by what they set, and their short names."""

from benchmark.parameters import GROUPS, grouped, short_names


def test_every_parameter_has_one_group() -> None:
    given = {
        "batch_size": 128,
        "muon.unit_filters": True,
        "flip": True,
        "flip.mode": "random",
        "crop": False,
        "ema.decay": 0.9,
        "averaging": "ema",
        "one_cycle.peak": 0.2,
        "schedule": "one_cycle",
        "muon.lr": 0.1,
        "optimizer": "muon",
        "cnn.width": 32,
        "family": "cnn",
        "label_smoothing": 0.1,
    }
    found = grouped(given)
    assert tuple(found) == GROUPS
    assert found == {
        "architecture": {"cnn.width": 32, "family": "cnn"},
        "optimizer": {"muon.unit_filters": True, "muon.lr": 0.1, "optimizer": "muon"},
        "schedule": {"one_cycle.peak": 0.2, "schedule": "one_cycle"},
        "averaging": {"ema.decay": 0.9, "averaging": "ema"},
        "augmentation": {"flip": True, "flip.mode": "random", "crop": False},
        "training": {"batch_size": 128, "label_smoothing": 0.1},
    }


def test_what_a_family_has_under_its_own_name_is_not_all_architecture() -> None:
    found = grouped({"family": "cnn", "cnn.width": 32, "cnn.batch_size": 64, "cnn.start_size": 1.0})
    assert found == {
        "architecture": {"family": "cnn", "cnn.width": 32},
        "training": {"cnn.batch_size": 64, "cnn.start_size": 1.0},
    }


def test_groups_without_a_parameter_are_left_out() -> None:
    assert grouped({"family": "cnn"}) == {"architecture": {"family": "cnn"}}
    assert grouped({}) == {}


def test_the_familys_prefix_is_left_out() -> None:
    assert short_names(["cnn.width", "sgd.lr", "batch_size"], "cnn") == {
        "cnn.width": "width",
        "sgd.lr": "sgd.lr",
        "batch_size": "batch_size",
    }


def test_a_name_that_would_be_anothers_stays_whole() -> None:
    names = short_names(["cnn.views", "views", "cnn.depth", "cnnx.depth"], "cnn")
    assert names == {"cnn.views": "cnn.views", "views": "views", "cnn.depth": "depth", "cnnx.depth": "cnnx.depth"}
    assert len(set(names.values())) == len(names)
