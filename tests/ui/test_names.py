"""Names that are markup are shown letter by letter on every page and figure: none becomes a link, a picture or bold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.data.starts import add_data
from fairlab.plots.colours import words
from fairlab.settings.study import Source
from fairlab.tables import IMAGES, PAIRS
from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace
from tests.data.trees import grouped
from tests.in_process import work_here
from tests.test_pages import PAGES, opened
from tests.waiting import entered
from tests.zoo import _scores

MARKUP = (
    "<b>qa</b>", "![qb](http://example.invalid/q)", "$qc$", ":material/qd:", "**qe**", "`qf`", "&amp;qg", "[/qh]",
    "[south] qi", "%{x}qj", "[qk](http://example.invalid)",
)  # fmt: skip
READ_BY_PLOTLY = ("<b>qa</b>", "$qc$", "&amp;qg", "%{x}qj")
MARKDOWN = {
    "markdown", "caption", "info", "warning", "error", "success", "metric", "button", "checkbox", "toggle", "radio",
    "button_group", "tab", "expander", "expandable", "popover", "header", "subheader", "title", "progress", "page_link",
    "selectbox", "multiselect", "text_input", "number_input", "slider", "toast",
}  # fmt: skip


def nodes(block: Any) -> Iterator[Any]:
    for child in getattr(block, "children", {}).values():
        yield child
        yield from nodes(child)


def texts(app: AppTest) -> Iterator[tuple[str, str]]:
    """(kind of element, what it reads as Markdown)."""
    for node in nodes(app._tree):
        kind, proto = node.type, getattr(node, "proto", None)
        if kind in ("arrow_table", "table"):
            frame = node.value
            for text in [*map(str, frame.columns), *map(str, frame.to_numpy().ravel())]:
                yield kind, text
        elif kind in MARKDOWN:
            for name in ("label", "body", "help", "text"):
                yield kind, str(getattr(proto, name, "") or "")
            if kind in ("radio", "button_group"):
                yield kind, " ".join(str(option) for option in proto.options)


def figures(app: AppTest) -> Iterator[str]:
    for node in nodes(app._tree):
        if node.type == "plotly_chart":
            yield json.dumps(json.loads(node.proto.spec), ensure_ascii=False)


@pytest.fixture(autouse=True)
def _nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launch measures networks in a process of its own: 15 s of processor for each test that opens it."""
    monkeypatch.setattr("fairlab.ui.launch.plans.request_probe", lambda *_: None)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    with pytest.MonkeyPatch.context() as mine:
        work_here(mine)
        base = tmp_path_factory.mktemp("hostile")
        lab = _scores(base / "home", MARKUP, "".join(MARKUP[:3]))
        folder = grouped(base / "photos", groups=tuple(name.replace("/", "⁄") for name in MARKUP[:3]), people=2)
        add_data(lab, Source(path=str(folder), image_px=32), "faces")
        for title in MARKUP:
            entered(lab, title, status="failed")
    return lab


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_them_as_they_are(hostile: Workspace, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, hostile, page)
    assert not app.exception
    for kind, text in texts(app):
        assert not [name for name in MARKUP if name in text.replace(plain(name), "")], (kind, text)
    for spec in figures(app):
        assert not [name for name in READ_BY_PLOTLY if name in spec]


def test_the_walk_sees_names(hostile: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would pass by looking at nothing."""
    app = opened(monkeypatch, hostile, "verification")
    shown = " ".join(text for _, text in texts(app))
    assert plain(MARKUP[0]) in shown
    assert any(words(MARKUP[0]) in spec for spec in figures(app))


def test_plotly_reads_no_template_or_formula_in_a_name() -> None:
    assert words("%{x}") == "&#37;{x}"
    assert words("$x$") == "&#36;x&#36;"
    assert words("<b>&amp;") == "&lt;b&gt;&amp;amp;"


@pytest.mark.parametrize("group", ["a\u202egnp", "a\x1b[31m", "a\nb", "\u2066x"])
def test_a_group_with_hidden_orders_is_refused_by_name(lab: Workspace, group: str) -> None:
    images = IMAGES.build([(0, "faces", "test", "p", group, "real", "a.png")])
    with pytest.raises(FairLabError, match=r"groups of faces: .* holds a control character \(U\+.*rename it"):
        write_dataset(lab.dataset("faces"), NewDataset(dataset_id="faces", kind="folders", attribute="group", groups=(group,), images=images, pairs=PAIRS.build(), pixels=np.zeros((1, 4, 4, 3), np.uint8), recipe={}))  # fmt: skip
    assert not lab.dataset("faces").exists()
