"""A random walk through the app under AppTest: seeded steps, and what must hold after each of them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest, local_script_runner

from fairlab.files import app_root
from fairlab.ui.judge.operating import LADDER, rate_text
from fairlab.workspace import Workspace
from tests import page_numbers

MAIN = app_root() / "fairlab" / "ui" / "frame" / "main.py"
PAGES = sorted(path.stem for path in (app_root() / "pages").glob("*.py"))
LOOKING = {"spaces", "verification", "fairness", "compare"}
KEYS = {
    "study", "on", "model", "pairs", "left", "right", "colour", "set", "evaluate", "run", "base", "preset", "clone"
}  # fmt: skip
"""Choices that hold on every page that has them."""
TEXTS = (
    "",
    "student",
    "<b>x</b> ![y](http://example.invalid/z)",
    "/nowhere/at all",
    "../..",
    "0.5",
    "Group A test 001",
    "نص 🦊",
)
EMPTY = "No model passes these filters."
"""Compare's sentence in its table's place."""
DELETES = re.compile(r"^(delete|whole:|forget:|prune|finish)")
MESSAGE = 500
"""Letters of a message that somebody still reads."""
Step = tuple[str, ...]


class Fault(AssertionError):
    """What does not hold after a step."""


def raw(app: AppTest, key: str) -> str | None:
    """What the widget of a choice stands on; None where the page has none."""
    try:
        return str(app.selectbox(key=key).value)
    except KeyError:
        return None


def point(app: AppTest) -> str | None:
    """The operating point that rule and slider show."""
    rule = raw(app, "point rule")
    if rule is None:
        return None
    if rule == "threshold":
        return f"threshold={float(app.slider(key='point threshold').value)!r}"
    return f"{'fmr' if rule == 'pooled' else 'own_fmr'}={app.select_slider(key='point fmr').value:g}"


def link(app: AppTest, key: str) -> str | None:
    value = app.query_params.get(key)
    return str(value[-1] if isinstance(value, list) and value else value) if value else None


@dataclass
class Walk:
    """One visitor of one workspace."""

    lab: Workspace
    app: AppTest = field(init=False)
    page: str = "home"
    made: dict[str, str] = field(default_factory=dict)
    """Choices that were made, by hand or link: they must hold."""
    past: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    compared: set[tuple[str, ...]] = field(default_factory=set)
    """Choices whose numbers on the page were compared with the command's."""

    def __post_init__(self) -> None:
        self.app = AppTest.from_file(str(MAIN), default_timeout=300).run()

    # what can be done

    def options(self, dice: random.Random) -> Step:
        """One of the steps that this page offers."""
        kind = dice.choices(["page", "choose", "press", "type", "back", "reload", "follow"], [24, 34, 10, 8, 10, 8, 6])[
            0
        ]
        steps: list[Step] = []
        if kind == "choose":
            steps = list(self._choices(dice))
        elif kind == "press":
            steps = [("press", str(b.key)) for b in self.app.button if b.key and not b.proto.disabled]
        elif kind == "type":
            steps = [("type", str(b.key), dice.choice(TEXTS)) for b in self.app.text_input if b.key]
        elif kind == "back" and self.past:
            steps = [("back",)]
        elif kind == "reload":
            steps = [("reload",)]
        elif kind == "follow":
            steps = [("follow", str(n)) for n in range(len(self._links()))]
        return dice.choice(steps) if steps else ("page", dice.choice(PAGES))

    def _choices(self, dice: random.Random) -> Iterator[Step]:
        for box in self.app.selectbox:
            if box.key and len(box.options) > 1:
                weight = 6 if box.key in KEYS or box.key == "point rule" else 1
                yield from [("select", box.key, str(dice.randrange(len(box.options))))] * weight
        for name in ("select_slider", "multiselect"):
            for item in getattr(self.app, name):
                if item.key and item.options:
                    yield from [(name, item.key, str(dice.randrange(len(item.options))))] * 2
        for item in self.app.slider:
            if item.key:
                yield ("slider", item.key, f"{dice.random():.3f}")
        for item in self.app.number_input:
            if item.key:
                yield ("number", item.key, dice.choice(["low", "up", "down"]))
        for name in ("checkbox", "toggle"):
            yield from ((name, item.key) for item in getattr(self.app, name) if item.key)

    def _links(self) -> list[Any]:
        return [item.proto for item in self.app.main.get("page_link")]

    # doing it

    def do(self, step: Step) -> None:
        """Take a step, and check what must hold afterwards. Raises Fault."""
        self.steps.append(step)
        before, page, left = self.things(), self.page, (self.page, dict(self.app.query_params))
        was = self.shown()
        kind, key = step[0], step[1] if len(step) > 1 else ""
        getattr(self, f"_{kind}", self._change)(step)
        if self.page != page and kind != "back":
            self.past.append(left)
        self.check(step, before)
        self._learn(kind, key, was)
        self._keep()

    def _go(self, page: str, query: dict[str, Any], back: bool = False) -> None:
        self.app.query_params = query
        self.page = page
        with history(back):
            self.app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()

    def _page(self, step: Step) -> None:
        if step[1] != self.page:  # of the page that is open, a click in the menu keeps the link
            self._go(step[1], {})

    def _back(self, _step: Step) -> None:
        page, query = self.past.pop()
        for key in KEYS | {"point"}:
            if query:
                self.made.pop(key, None) if self._has(key) and key not in query else None
        self.made |= self._named(page, query)
        self._go(page, query, back=True)

    def _reload(self, _step: Step) -> None:
        old, self.app = self.app, AppTest.from_file(str(MAIN), default_timeout=300)
        self.app._registered_pages = old._registered_pages
        self.made = self._named(self.page, old.query_params)
        self._go(self.page, dict(old.query_params))

    def _follow(self, step: Step) -> None:
        proto = self._links()[int(step[1])]
        page = Path(proto.page).name or "home"
        query = dict(part.split("=", 1) for part in proto.query_string.split("&") if "=" in part)
        if page not in PAGES:
            return
        self.made |= self._named(page, query)
        self._go(page, query)

    def _press(self, step: Step) -> None:
        self.app.button(key=step[1]).click().run()
        self.page = self._title(self.page)

    def _type(self, step: Step) -> None:
        self.app.text_input(key=step[1]).set_value(step[2]).run()

    def _change(self, step: Step) -> None:
        kind, key = step[:2]
        if kind in ("checkbox", "toggle"):
            item = getattr(self.app, kind)(key=key)
            item.set_value(not item.value)
        elif kind == "number":
            item = self.app.number_input(key=key)
            item.increment() if step[2] == "up" else item.decrement() if step[2] == "down" else item.set_value(item.min)
        elif kind == "slider":
            item = self.app.slider(key=key)
            share = float(step[2])
            value = item.min + share * (item.max - item.min)
            item.set_value(int(value) if isinstance(item.min, int) else round(value, 3))
        else:
            item = getattr(self.app, {"select": "selectbox"}.get(kind, kind))(key=key)
            if kind == "multiselect":
                option = item.options[int(step[2])]
                shown = [str(value) for value in item.value]
                names = dict(zip(item.options, item.options, strict=True))
                item.unselect(option) if names[option] in shown else item.select(option)
            else:
                option = item.options[int(step[2])]
                item.set_value(next(r for r in LADDER if rate_text(r) == option) if kind == "select_slider" else option)
        item.run()

    def _title(self, page: str) -> str:
        """The page that the app is on, after a button that may have led elsewhere."""
        name = self.app.title[0].value.lower() if len(self.app.title) else page
        return "home" if name == "fairlab" else name if name in PAGES else page

    # what must hold

    def _has(self, key: str) -> bool:
        return (point(self.app) if key == "point" else raw(self.app, key)) is not None

    def _meaning(self, page: str, key: str) -> str:
        """Models' own picker is another choice than the model of the pages that look."""
        return "evaluate" if page == "models" and key == "model" else key

    def _named(self, page: str, query: dict[str, Any]) -> dict[str, str]:
        wanted = {key: value[-1] if isinstance(value, list) else value for key, value in query.items() if value}
        return {self._meaning(page, key): str(value) for key, value in wanted.items() if key in KEYS | {"point"}}

    def shown(self) -> dict[str, str]:
        """The choices that the page shows."""
        boxes = {box.key: box for box in self.app.selectbox}
        found = {key: str(boxes[key].value) for key in KEYS & boxes.keys()}
        at = point(self.app) if "point rule" in boxes else None
        return found if at is None else found | {"point": at}

    def things(self) -> dict[str, set[str]]:
        """What the workspace holds."""
        folders = {"run": self.lab.runs_folder, "data set": self.lab.datasets_folder, "study": self.lab.studies_folder}
        return {
            name: {path.name for path in folder.iterdir() if ".tmp." not in path.name} if folder.exists() else set()
            for name, folder in folders.items()
        }

    def check(self, step: Step, before: dict[str, set[str]]) -> None:
        if self.app.exception:
            said = self.app.exception[0]
            raise Fault(f"the page raises {said.message}: {said.value[-300:]}")
        for name in ("error", "warning"):
            for item in getattr(self.app, name):
                if (
                    len(item.value) > MESSAGE
                    or "Traceback" in item.value
                    or re.match(r"\w*(Error|Exception)\b", item.value)
                ):
                    raise Fault(f"a message that is not a sentence ({len(item.value)} letters): {item.value[:150]!r}")
        for name, now in self.things().items():
            if (gone := before[name] - now) and not (step[0] == "press" and DELETES.match(step[1])):
                raise Fault(f"a {name} is gone without its button: {sorted(gone)}")
            if (new := now - before[name]) and step[0] != "press":
                raise Fault(f"a {name} has begun without its button: {sorted(new)}")
        for key, value in self.shown().items():
            if value and link(self.app, key) != value:
                raise Fault(f"the page shows {key} {value}, its link has {link(self.app, key)}")
        if step[0] not in ("press", "type"):
            self._holds(step)
        try:
            self._same_as_command()
        except page_numbers.Differs as found:
            raise Fault(str(found)) from None

    def _same_as_command(self) -> None:
        """The numbers of Fairness, Verification and Compare are those that the command prints for the same choices."""
        data, pairs, at = raw(self.app, "on"), raw(self.app, "pairs"), point(self.app)
        if self.page == "compare" and data and pairs and not any(said.value == EMPTY for said in self.app.info):
            self._once(page_numbers.same_table, self._compare_words(data, pairs))
        run, by = raw(self.app, "model"), [item for item in self.app.multiselect if item.key == "by"]
        if not (at and run and data and pairs) or not (self.lab.run(run) / "run.json").exists() or (by and by[0].value):
            return
        if self.page == "verification":
            self._once(page_numbers.same_groups, page_numbers.fairness_words(run, data, pairs, at))
        elif self.page == "fairness":
            (holm,) = [item for item in self.app.toggle if item.key == "holm"] or [None]
            adjust = "holm" if holm and holm.value else "none"
            self._once(page_numbers.same_sentences, page_numbers.fairness_words(run, data, pairs, at, adjust))

    def _compare_words(self, data: str, pairs: str) -> list[str]:
        study, base, seed = (raw(self.app, key) for key in ("study", "base", "seed"))
        words = ["compare", *(["--added"] if study in ("added", None) else [study]), "--data", data, "--pairs", pairs]
        words += ["--baseline", base] if base else []
        return [*words, *(["--seed", seed] if seed and seed != "mean" else []), "--json"]

    def _once(self, same: Callable[[AppTest, Workspace, Sequence[str]], None], words: Sequence[str]) -> None:
        if (self.page, *words) not in self.compared:
            self.compared.add((self.page, *words))
            same(self.app, self.lab, words)

    def _holds(self, step: Step) -> None:
        """Choices that were made are shown, or a sentence says why not."""
        chosen = step[1] if step[0] in ("select", "select_slider", "slider") else ""
        said = " ".join(item.value for name in ("warning", "caption") for item in getattr(self.app, name))
        for key, value in self.shown().items():
            wanted = self.made.get(self._meaning(self.page, key))
            if wanted in (None, value, "all") or key == chosen or (key == "point" and chosen.startswith("point")):
                continue
            if chosen and not self._offered(key, wanted):
                continue  # it changed with what was chosen
            if self._offered(key, wanted) or not re.search(r"not in this (workspace|data set)|is shown", said):
                raise Fault(f"{key} was {wanted}, and without a word {value} is shown")

    def _offered(self, key: str, value: str) -> bool:
        if key == "point":
            name, _, number = value.partition("=")
            if name == "threshold" or not number.replace(".", "").replace("e-", "").isdigit():
                return name == "threshold" and raw(self.app, "point rule") != "threshold"
            return f"{100 * float(number):.4g} %" in getattr(self._ladder(), "options", ())
        box = self.app.selectbox(key=key)
        shown = {str(box.value)}
        return value in shown | set(box.options) or any(value in option for option in box.options)

    def _ladder(self) -> Any:
        try:
            return self.app.select_slider(key="point fmr")
        except KeyError:
            return None

    def _learn(self, kind: str, key: str, was: dict[str, str]) -> None:
        """What was chosen by hand holds from now on; what changed with it too. To choose what is chosen is no choice."""
        for name, value in self.shown().items():
            meaning = self._meaning(self.page, name)
            touched = key == name or (name == "point" and key.startswith("point"))
            if was.get(name) == value:
                continue
            if touched or (kind not in ("page", "back", "reload", "follow") and meaning in self.made):
                self.made[meaning] = value
        if kind == "press":
            self.made = {key: value for key, value in self.made.items() if key in self.shown()}

    def _keep(self) -> None:
        self.past = self.past[-20:]


@contextmanager
def history(back: bool) -> Iterator[None]:
    """Back and Forward say that they are; AppTest has no word for it."""
    with pytest.MonkeyPatch.context() as here:
        if back:
            here.setattr(
                local_script_runner, "RerunData", lambda **facts: RerunData(**facts, is_history_navigation=True)
            )
        yield
