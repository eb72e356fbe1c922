"""Pictures that a page carries in itself: their sizes, how many, and what is said where there can be none."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from filled_study import fill
from PIL import Image
from reported_study import noise
from trained_study import train_study

from benchmark.label_check import LabelCheck
from benchmark.records import Dataset, Images, Split
from benchmark.report import Missing, pictures
from benchmark.report.pictures import (
    EXPLAINED,
    MOST_SHEET_BYTES,
    MOST_THUMBNAIL_BYTES,
    THUMBNAIL,
    data_view,
    evidence_of,
    thumbnails,
)
from benchmark.splits import stratified_split
from benchmark.study import find_entrant
from benchmark.study_data import StudyImages, load_study_images
from benchmark.temperature import apply_temperature, temperature_of


def picture(uri: str) -> Image.Image:
    head, _, content = uri.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def of_noise(rows: int, side: int) -> Images:
    pixels = np.stack([noise(side, side, seed) for seed in range(rows)])
    return Images(pixels, np.arange(rows, dtype=np.int64) % 2)


def test_a_small_image_is_kept_pixel_by_pixel_and_once() -> None:
    images = of_noise(3, 32)
    found = thumbnails(images, (2, 0, 2))
    assert list(found) == [2, 0]
    np.testing.assert_array_equal(np.asarray(picture(found[2])), images.pixels[2])


def test_a_large_image_is_reduced() -> None:
    assert picture(thumbnails(of_noise(1, 200), (0,))[0]).size == (THUMBNAIL, THUMBNAIL)


def test_thumbnails_end_where_there_is_no_more_room() -> None:
    images = of_noise(600, THUMBNAIL)
    found = thumbnails(images, range(len(images)))
    assert list(found) == list(range(len(found)))
    size = sum(map(len, found.values()))
    assert MOST_THUMBNAIL_BYTES - 2 * len(found[0]) < size <= MOST_THUMBNAIL_BYTES


@pytest.mark.parametrize(("side", "form"), [(8, "PNG"), (128, "JPEG")])
def test_sheets_are_exact_where_they_are_small(
    side: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = of_noise(40, side)
    images.pixels[1] = images.pixels[0]
    dataset = Dataset("noise", ("a", "b"), images, images.take(np.arange(4, dtype=np.int64)), "f" * 64)
    monkeypatch.setattr(pictures, "check_labels", lambda *_: LabelCheck(3, ((Split.TEST, 4),), ()))
    told: list[str] = []
    study = StudyImages("pets", dataset, stratified_split(images.labels, 10, 0))
    view = data_view(fill(tmp_path, complete=1), study, told.append)
    assert told == ["comparing every image of noise with every other"]
    sheet = picture(view.samples)
    assert sheet.format == form
    assert len(view.samples) < 1.4 * MOST_SHEET_BYTES
    assert view.duplicates is not None
    assert any("Identical images" in sentence for sentence in view.sentences)
    assert view.suspects is None
    assert "- 0 of 4 test images (0.00 %)." in view.doubts


def test_labels_that_the_models_contradict_are_shown(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=2)
    images = load_study_images(store, None, lambda _: None)
    view = data_view(store, images, lambda _: None)
    assert any(sentence.startswith("Labels that 2 models of the study contradict") for sentence in view.doubts)
    assert view.suspects is not None
    assert picture(view.suspects).format == "PNG"


def test_the_recommended_entrant_is_explained_by_its_weights(tmp_path: Path) -> None:
    store = train_study(tmp_path, trials=2, ensembles=False)
    images = load_study_images(store, None, lambda _: None)
    entrant = find_entrant(store, "best")
    found = evidence_of(store, [entrant], images)
    assert not isinstance(found, Missing)
    assert "places, enlarged to the image." in found.note
    assert found.name == entrant.name
    assert len(found.images) == EXPLAINED
    temperature = temperature_of(entrant.val.log_probs, store.labels(Split.VAL))
    stated = np.exp(apply_temperature(entrant.test.log_probs, temperature))
    for one in found.images:
        assert images.dataset.test.labels[one.row] == one.label
        assert entrant.test.log_probs[one.row].argmax() == one.predicted
        assert picture(one.heat).size == picture(one.picture).size == (8, 8)
        # The network says what is stored, and no temperature changes which class that is.
        assert one.confidence == pytest.approx(stated[one.row].max(), abs=1e-3)
    store.files.remove([f"trial-{entrant.members[0]:05}.safetensors"])
    gone = evidence_of(store, [entrant], images)
    assert isinstance(gone, Missing)
    assert "no weights of trial" in gone.why
    (other,) = (one for one in store.single_models() if one.members != entrant.members)
    instead = evidence_of(store, [entrant, other], images)
    assert not isinstance(instead, Missing)
    assert instead.name == other.name
    assert (
        f"It stands in for {entrant.name}, which cannot be asked: {entrant.name}: no weights of trial" in instead.note
    )


def test_an_ensemble_is_explained_by_the_maps_of_its_members(tmp_path: Path) -> None:
    store = train_study(tmp_path, trials=3)
    images = load_study_images(store, None, lambda _: None)
    ensemble = next(one for one in store.ensembles() if one.method == "soft_voting" and len(one.members) > 1)
    found = evidence_of(store, [ensemble], images)
    assert not isinstance(found, Missing)
    assert f"The mean of {len(ensemble.members)} members' maps by their votes" in found.note
