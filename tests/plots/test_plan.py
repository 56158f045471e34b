"""The plan as a picture."""

import itertools

import pandas as pd

from fairlab.plots.plan import HALF_HEIGHT, places, plan_figure

ROLES = {
    "d": "dataset",
    "t1": "teacher",
    "t2": "teacher",
    "c": "baseline",
    "a": "adaptor",
    "s": "student",
    "p": "student",
    "m": "projection",
}
PARENTS = {"t1": ["d"], "t2": ["d"], "c": ["t1", "t2"], "a": ["t1", "t2"], "s": ["a"], "p": ["d"], "m": list("ca")}


def _runs(status: str = "new") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"run_id": name, "title": f"Run {name}", "role": role, "status": status, "note": "3 steps"}
            for name, role in ROLES.items()
        ]
    )


def test_boxes_of_a_column_do_not_overlap() -> None:
    """Two runs in one column are at least a row apart."""
    place = places(_runs(), PARENTS)
    for (_, (x, y)), (_, (u, v)) in itertools.combinations(place.items(), 2):
        assert x != u or abs(y - v) > 2 * HALF_HEIGHT


def test_parents_stand_left_of_their_children() -> None:
    """Reading from left to right is the order of work."""
    place = places(_runs(), PARENTS)
    assert all(place[parent][0] < place[child][0] for child, known in PARENTS.items() for parent in known)


def test_every_run_is_a_box_and_every_need_a_line_except_to_the_maps() -> None:
    """One rectangle per run; one curve per parent, none to the maps."""
    figure = plan_figure(_runs(), PARENTS)
    assert sum(shape.type == "rect" for shape in figure.layout.shapes) == len(ROLES)
    lines = next(trace for trace in figure.data if trace.mode == "lines")
    wanted = sum(len(known) for child, known in PARENTS.items() if child != "m")
    assert sum(x != x for x in lines.x) == wanted


def test_reused_runs_are_marked_in_words() -> None:
    """The legend says which boxes are done already."""
    runs = _runs()
    runs.loc[:2, "status"] = "done"
    names = {trace.name for trace in plan_figure(runs, PARENTS).data if trace.mode == "markers"}
    assert names == {"done already: reused", "to do"}


def test_a_hostile_title_stays_text() -> None:
    """plotly reads HTML in texts, so a title's brackets are escaped."""
    runs = _runs()
    runs.loc[0, "title"] = "<a href='http://evil.example'>x</a>"
    shown = [text for trace in plan_figure(runs, PARENTS).data if trace.mode == "text" for text in trace.text]
    assert not any("<a" in text for text in shown)


def test_columns_that_are_not_used_take_no_room_and_data_of_data_have_no_line() -> None:
    """Students of other faces: a job that embeds them stands before its student; the mixture below what it is made of."""
    roles = {"d": "dataset", "x": "dataset", "t": "teacher", "e": "embedding", "s": "student", "p": "student"}
    runs = pd.DataFrame(
        [{"run_id": name, "title": name, "role": role, "status": "new", "note": ""} for name, role in roles.items()]
    )
    parents = {"x": ["d"], "t": ["d"], "e": ["t", "x"], "s": ["t", "e"], "p": ["x"]}
    place = places(runs, parents)
    assert [place[name][0] for name in "dxtesp"] == [0, 0, 1, 2, 3, 3]
    figure = plan_figure(runs, parents)
    lines = next(trace for trace in figure.data if trace.mode == "lines")
    assert sum(x != x for x in lines.x) == 1 + 2 + 2 + 1
    assert [note.text for note in figure.layout.annotations] == [
        f"<b>{name}</b>" for name in ("data", "teachers", "embeddings", "students")
    ]


def test_lines_pass_beside_the_boxes_between() -> None:
    """From the data straight to a student, not through the names of the teachers."""
    roles = {"d": "dataset", "t": "teacher", "a": "adaptor", "s": "student"}
    runs = pd.DataFrame(
        [{"run_id": name, "title": name, "role": role, "status": "new", "note": ""} for name, role in roles.items()]
    )
    parents = {"t": ["d"], "a": ["t"], "s": ["d"]}
    place = places(runs, parents)
    figure = plan_figure(runs, parents)
    line = next(trace for trace in figure.data if trace.mode == "lines")
    x, y = place["t"]
    beside = [abs(v - y) for u, v in zip(line.x, line.y, strict=True) if u == u and abs(u - x) < HALF_HEIGHT]
    assert all(distance > HALF_HEIGHT for distance in beside)


def test_a_title_that_a_laptop_s_box_has_no_room_for_is_broken_before_its_bracket() -> None:
    """At 1,300 px a box of the demo's plan is as wide as some 20 letters; 24 stood out of it on both sides."""
    runs = pd.DataFrame(
        [{"run_id": "c", "title": "Concatenation (balanced)", "role": "adaptor", "status": "new", "note": ""}]
    )
    texts = [text for trace in plan_figure(runs, {"c": []}).data for text in (trace.text or ())]
    assert "Concatenation<br>(balanced)" in [text.replace("<b>", "").replace("</b>", "") for text in texts]
