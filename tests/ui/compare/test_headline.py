"""What a study says of itself."""

import pandas as pd

from fairlab.ui.compare.headline import sentences
from fairlab.ui.frame.numbers import NAN


def _row(
    run_id: str, role: str, mean: float, difference: float = 0.0, p: float = NAN, baseline: str = "plain"
) -> dict[str, object]:
    known = p == p
    row = {
        "run_id": run_id,
        "model": f"Model {run_id}",
        "role": role,
        "seed": 0,
        "mean": mean,
        "std": 2.0,
        "ser": 1.5,
        "baseline": baseline,
        "difference": difference,
        "difference_low": difference - 1 if known else NAN,
        "difference_high": difference + 1 if known else NAN,
        "p": p,
        "cpu_s": 60.0,
        "total_cpu_s": 120.0,
        "accuracy:A": mean + 1,
        "accuracy:B": mean - 1,
    }
    for name in ("mean", "std", "ser", "accuracy:A", "accuracy:B"):
        row |= {f"{name}_low": row[name] - 0.1, f"{name}_high": row[name] + 0.1}  # type: ignore[operator]
    return row


TABLE = pd.DataFrame(
    [
        _row("teacher", "teacher", 80.0, -3.0, 0.001),
        _row("space", "adaptor", 88.0, 5.0, 0.001),
        _row("plain", "student", 83.0),
        _row("kd", "student", 90.0, 7.0, 0.001),
        _row("weak", "student", 83.5, 0.5, 0.6),
    ]
)


def test_the_common_space_is_held_against_the_best_teacher() -> None:
    """With intervals on both."""
    assert sentences(TABLE)[0].startswith("Model space: 88.0 % [87.9, 88.1]")
    assert "(Model teacher) reaches 80.0 %" in sentences(TABLE)[0]


def test_a_gain_beyond_chance_is_told_from_one_within() -> None:
    """The verdict follows p, the baseline is named, and is not compared with itself."""
    said = sentences(TABLE)[1:]
    assert len(said) == 2
    assert "+7.0 points [+6.0, +8.0], beyond chance" in said[0]
    assert "for Model plain" in said[0]
    assert "within chance" in said[1]


def test_little_is_said_while_little_is_finished() -> None:
    """Teachers alone make no sentence."""
    assert sentences(TABLE[TABLE["role"] == "teacher"]) == []


def test_many_students_are_counted_and_three_are_named() -> None:
    """With what chance alone would show among so many."""
    gains = {
        "a": (3.0, 0.01),
        "b": (-2.0, 0.02),
        "c": (0.1, 0.9),
        "d": (5.0, 0.001),
        "e": (4.0, 0.004),
        "f": (1.0, 0.2),
    }
    rows = [
        _row("plain", "student", 83.0),
        *(_row(name, "student", 83 + gain, gain, p) for name, (gain, p) in gains.items()),
    ]
    said = sentences(pd.DataFrame(rows))
    assert said[0] == (
        "Of 6 students compared with Model plain, 3 are better and 1 worse beyond chance (p < 0.05 each; chance "
        "alone would show about 0.3). The best two and the last:"
    )
    assert [line.partition(":")[0] for line in said[1:]] == ["Model d", "Model e", "Model b"]
