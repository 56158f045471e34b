from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fairlab.data.align import TEMPLATE_112, similarity

NUMBER = st.floats(-3.0, 3.0)


@given(st.floats(0.2, 4.0), st.floats(-3.1, 3.1), NUMBER, NUMBER)
def test_a_known_similarity_is_found(scale: float, angle: float, x: float, y: float) -> None:
    """Points that were turned, scaled and shifted are brought back exactly."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = TEMPLATE_112 @ turn.T + [x, y]
    found = similarity(TEMPLATE_112, moved)
    assert np.allclose(found, np.column_stack([turn, [x, y]]), atol=1e-8)


def test_the_error_is_the_least() -> None:
    """With noise no other similarity near it fits better (the definition of least squares)."""
    rng = np.random.default_rng(0)
    targets = TEMPLATE_112 + rng.normal(0, 3, (5, 2))
    best = similarity(TEMPLATE_112, targets)

    def error(p: float, q: float, x: float, y: float) -> float:
        return float(((TEMPLATE_112 @ np.array([[p, -q], [q, p]]).T + [x, y] - targets) ** 2).sum())

    at = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    for step in 1e-3 * np.vstack([np.eye(4), -np.eye(4)]):
        assert error(*at) <= error(*(at + step))


def test_a_mirrored_face_is_not_unmirrored() -> None:
    """A similarity has no mirror: left and right eye stay apart."""
    found = similarity(TEMPLATE_112 * [-1, 1], TEMPLATE_112)
    assert np.linalg.det(found[:, :2]) > 0
