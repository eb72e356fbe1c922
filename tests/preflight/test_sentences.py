"""What a preflight says: counts, shares, row numbers and classes."""

from __future__ import annotations

import numpy as np
from planted import CLASSES, noise, noised

from benchmark.preflight import preflight, to_sentences
from benchmark.records import Dataset, Images


def test_a_set_without_faults_is_said_to_be_so() -> None:
    assert to_sentences(preflight(noise()), CLASSES) == (
        "No two images are identical.",
        "No near duplicates (correlation 0.9 or more, of differences between neighbouring pixels 0.5).",
        "No image is of a single colour.",
        "Every class has its images in every part.",
    )


def test_every_finding_has_its_sentence() -> None:
    dataset = noise()
    dataset.train.pixels[4] = dataset.train.pixels[3]
    dataset.test.pixels[6] = noised(dataset.train.pixels[9], 5)
    dataset.test.pixels[7] = dataset.train.pixels[10][:, ::-1]
    dataset.test.pixels[:2] = np.array([[[[0]]], [[[90]]]], np.uint8)
    assert to_sentences(preflight(dataset), CLASSES)[:-1] == (
        "Identical images: 1 group.",
        "- within train 1 pair, 1 of them with contradicting labels; 2 of 60 train images (3.33 %); "
        "such as train 3 cat and train 4 dog (identical).",
        "Near duplicates, identical images not counted "
        "(correlation 0.9 or more, of differences between neighbouring pixels 0.5):",
        "- between train and test 2 pairs, 0 of them with contradicting labels; 2 of 30 test images (6.67 %); "
        "such as train 10 dog and test 7 dog (1.000 mirrored); train 9 cat and test 6 cat (0.998).",
        "Of a single colour: 2 images, test 0, test 1.",
    )


def test_classes_and_long_lists() -> None:
    dataset = noise()
    dataset.train.pixels[:12] = np.arange(12, dtype=np.uint8)[:, None, None, None]
    # 60 rows of 4 classes: less than 1.5 are few
    labels = np.array([1] * 59 + [3])
    classes = (*CLASSES, "yak")
    found = Dataset("planted", classes, Images(dataset.train.pixels, labels), dataset.test, dataset.fingerprint)
    sentences = to_sentences(preflight(found), classes)
    assert sentences[2] == (
        "Of a single colour: 12 images, train 0, train 1, train 2, train 3, train 4, train 5, train 6, train 7, "
        "train 8, train 9 and 2 more."
    )
    assert sentences[3:] == (
        "Classes with no or few images in train: cat (0), frog (0), yak (1).",
        "Classes with no or few images in test: yak (0).",
    )


def test_small_images_are_said_to_be_too_small() -> None:
    sentences = to_sentences(preflight(noise(size=(8, 8, 1))), CLASSES)
    assert sentences[1].startswith("Near duplicates were not looked for: images of 8 x 8 pixels are too small")


def test_an_empty_class_is_named() -> None:
    dataset = noise()
    found = Dataset("planted", (*CLASSES, "yak"), dataset.train, dataset.test, dataset.fingerprint)
    assert to_sentences(preflight(found), found.classes)[-1] == "Classes without any image: yak."
