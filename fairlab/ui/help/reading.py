"""What the page Help draws: the choice of a chapter, its sections, its text, the list of chapters, what a search finds."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import streamlit as st

from fairlab.ui.frame import choices
from fairlab.ui.frame.manual import CHAPTERS
from fairlab.ui.frame.page import plain
from fairlab.ui.help.chapter import in_app, parts, sections, title_of
from fairlab.ui.help.search import SHORTEST, Result

CHAPTER = "chapter"
"""The link's parameter, and the key of the select box."""
CONTENTS = "contents"
"""The choice that shows the list of chapters."""
SEARCH = "search the manual"
_LINKS = "links of the manual"
_SECTION = "section of the manual"
"""Session: the anchor of the section that a link has just asked for."""
LINES = 3
"""Lines that a search shows of one section."""
WIDTH_PX = 860
"""Width of the text: about 110 letters, with space for the tables."""

_JS = """
let arrived = false;
function keepAt(anchor) {
  let shown = 0, waited = 0, place = null;
  const stop = () => clearInterval(timer);
  const timer = setInterval(() => {
    const heading = document.getElementById(anchor);
    if (heading && heading.getBoundingClientRect().top !== place) {
      heading.scrollIntoView();
      place = heading.getBoundingClientRect().top;
    }
    const whole = heading && !document.querySelector("[data-testid=stSkeleton]");
    if (whole ? ++shown > 60 : ++waited > 1200) stop();
  }, 50);
  for (const hand of ["wheel", "touchstart", "keydown", "mousedown"]) {
    document.addEventListener(hand, stop, { once: true, capture: true });
  }
}
export default function (component) {
  const { data, setTriggerValue } = component;
  const follow = (event) => {
    const link = event.target.closest ? event.target.closest('a[href^="?chapter="]') : null;
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setTriggerValue("followed", link.getAttribute("href"));
  };
  document.addEventListener("click", follow, true);
  const section = data.section || (arrived ? "" : location.hash.slice(1));
  arrived = true;
  if (section) keepAt(section);
  return () => document.removeEventListener("click", follow, true);
}
"""
"""Streamlit opens every link of a text in a new tab, where the choices of this session do not hold. It goes to the section
of a link before the tables above are drawn, which then push it away. So the section is kept in place for three seconds
after the page is whole, or until the reader scrolls."""
_links = st.components.v2.component("fairlab_manual_links", js=_JS)


def follow_links() -> None:
    """Let links between chapters stay in this tab, and go to the section that the last one named."""
    section = st.session_state.pop(_SECTION, "")
    _links(key=_LINKS, data={"section": section}, on_followed_change=_follow)


def _follow() -> None:
    """Callback: a link of the manual was clicked."""
    link = urlsplit(str(st.session_state[_LINKS].followed))
    choices.choose(CHAPTER, parse_qs(link.query).get(CHAPTER, [CONTENTS])[:1])
    st.session_state[_SECTION] = link.fragment
    st.session_state[SEARCH] = ""


def pick_chapter() -> str:
    """A select box of the chapters; CONTENTS where the link names none that exists."""
    asked = _asked()
    names = {CONTENTS: "All chapters", **{name: title_of(name) for name in CHAPTERS}}
    choices.place(CHAPTER, asked if asked in names else CONTENTS)
    chosen = str(
        st.selectbox(
            "Chapter",
            list(names),
            format_func=lambda name: names[name],
            key=CHAPTER,
            on_change=_taken,
        )
    )
    choices.placed(CHAPTER)
    choices.show(CHAPTER, [chosen])
    return chosen


def _asked() -> str:
    """The chapter that a link or a hand asked for, whether it exists or not."""
    return (choices.asked(CHAPTER) or [CONTENTS])[-1]


def _taken() -> None:
    """Callback: a chapter was chosen in the select box; it takes the place of what a search found."""
    choices.taken(CHAPTER)
    st.session_state[SEARCH] = ""


def show_sections(name: str) -> None:
    """The table of contents of a chapter; nothing where it has no sections."""
    below = sections(CHAPTERS[name].text)[1:]
    if below:
        lines = [f"{'  ' * (part.level - 2)}- [{plain(part.title)}](#{part.anchor})" for part in below]
        st.caption("\n".join(["In this chapter", *lines]))


def show_chapter(name: str) -> None:
    """The text of a chapter."""
    for part in parts(CHAPTERS[name].text):
        if isinstance(part, str):
            st.markdown(part)
        else:
            st.table(part, border="horizontal", hide_index=True)


def show_contents() -> None:
    """Every chapter with what it answers, and a sentence if the link names a chapter that does not exist."""
    if _asked() not in (CONTENTS, *CHAPTERS):
        st.warning(f"The manual has no chapter {plain(_asked()[:80])}. It has these.", icon=":material/link_off:")
    for name, chapter in CHAPTERS.items():
        st.markdown(f"**[{plain(title_of(name))}]({in_app(name)})**  \n{chapter.answers}")


def show_results(text: str, results: list[Result]) -> None:
    """What a search found, section by section."""
    if len(text.strip()) < SHORTEST:
        st.info(f"Type at least {SHORTEST} letters.", icon=":material/search:")
    elif not results:
        st.info(f"No chapter contains “{plain(text[:80])}”.", icon=":material/search_off:")
    for result in results:
        chapter, part = title_of(result.chapter), result.section
        title = chapter if part.level == 1 else f"{chapter} · {part.title}"
        anchor = "" if part.level == 1 else part.anchor
        lines = [
            f"- {plain(line.before)}:primary[**{plain(line.match)}**]{plain(line.after)}"
            for line in result.lines[:LINES]
        ]
        if len(result.lines) > LINES:
            lines.append(f"- {len(result.lines) - LINES} more in this section")
        st.markdown("\n".join([f"**[{plain(title)}]({in_app(result.chapter, anchor)})**", "", *lines]))
