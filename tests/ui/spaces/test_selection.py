"""The images chosen on a map, as a text for a link."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlab.ui.spaces.selection import IDS_AT_MOST, LARGE, LINK_AT_MOST, _id_of, _ids, decode, encode, text_of


@given(st.sets(st.integers(0, 2_000_000), min_size=1, max_size=300))
def test_what_is_encoded_is_decoded(ids: set[int]) -> None:
    """The same ids, rising, whatever their order was."""
    shuffled = np.array(list(ids), dtype=np.int64)
    found = decode(encode(shuffled))
    assert found is not None
    assert found.tolist() == sorted(ids)


@given(st.text(max_size=60))
def test_any_other_text_is_no_selection_and_no_error(text: str) -> None:
    """A link is typed by anyone."""
    found = decode(text)
    assert found is None or found.dtype.kind == "i"


def test_a_bomb_is_cut() -> None:
    """A short text that unpacks to gigabytes is not unpacked."""
    import base64
    import zlib

    text = base64.urlsafe_b64encode(zlib.compress(b"\0" * 50_000_000, 9)).decode()
    found = decode(text)
    assert found is None or len(found) <= IDS_AT_MOST


def test_a_lasso_of_thousands_stays_a_link() -> None:
    """4,000 of 20,000 images fit in what browsers and servers take."""
    random = np.random.default_rng(0)
    assert len(encode(random.choice(20_000, 4000, replace=False))) < 8_000


def test_what_is_too_large_for_a_link_is_remembered_under_its_hash() -> None:
    """100,000 of a million images: a short text, which gives them back; one that nobody knows gives nothing."""
    ids = np.sort(np.random.default_rng(0).choice(1_000_000, 100_000, replace=False))
    text = text_of(ids)
    assert text.startswith(LARGE)
    assert len(text) < 30
    found = _ids(text)
    assert found is not None
    assert np.array_equal(found, ids)
    assert _ids(f"{LARGE}0123") is None
    assert len(text_of(np.arange(500_000))) < LINK_AT_MOST, "all images in a row are a short link"


@pytest.mark.parametrize("customdata", [[5], (5,), {"0": 5}, 5])
def test_plotly_may_hand_an_id_back_in_any_shape(customdata: object) -> None:
    """Lists come back as lists, arrays as {"0": id}."""
    assert _id_of(customdata) == 5
