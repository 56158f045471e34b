"""Which names say who somebody is."""

from __future__ import annotations

import pytest

from fairlab.data.inspect.identity_names import compare_names, normal, scheme


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("African/m.0abc_1", "m.0abc_1"),
        ("/m/0abc_1", "m.0abc_1"),
        ("M.0ABC_1", "m.0abc_1"),
        ("George W-Bush", "george_w_bush"),
        ("test/George_W__Bush/", "george_w_bush"),
        ("ﬁnn", "finn"),  # NFKC
        ("n000123", "n000123"),
    ],
)
def test_names_are_compared_without_their_dress(name: str, plain: str) -> None:
    assert normal(name) == plain


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("m.0abc", "freebase"),
        ("george_w_bush", "words"),
        ("n000123", "n#"),
        ("17", ""),
        ("0000045", ""),
        ("person_17", ""),
        ("id0017", ""),
        ("group_a_train_017", ""),
        ("", ""),
    ],
)
def test_mere_numbers_are_no_names(name: str, kind: str) -> None:
    assert scheme(name) == kind


def test_label_17_is_not_label_17() -> None:
    """RecordIO's labels 0..n in both: nothing is shared, and nothing can be told."""
    labels = [str(number) for number in range(100)]
    said = compare_names(labels, labels)
    assert (dict(said.shared), said.comparable) == ({}, frozenset())


def test_shared_people_are_found_whatever_folder_they_lie_in() -> None:
    """Planted: 2 of 200 test people (1 %) are in the training under another path; 10 numbers cannot tell."""
    train = [f"Asian/m.{number:05x}" for number in range(1000)]
    test = [f"African/m.{number:05x}" for number in range(998, 1198)] + [str(number) for number in range(10)]
    said = compare_names(train, test)
    assert dict(said.shared) == {"African/m.003e6": "Asian/m.003e6", "African/m.003e7": "Asian/m.003e7"}
    assert len(said.comparable) == 200


def test_schemes_that_share_nothing_cannot_tell() -> None:
    said = compare_names(["n000001", "n000002"], ["m.01", "George_Bush"])
    assert not said.comparable
