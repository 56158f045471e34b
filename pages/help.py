"""Help: the manual, chapter by chapter, and a search over all of it."""

import streamlit as st

from fairlab.ui.frame.page import start
from fairlab.ui.help import reading
from fairlab.ui.help.search import search

start("Help", "The manual. Every page has a link to its chapter.")
left, right = st.columns([1, 3], gap="medium")
with left:
    chapter = reading.pick_chapter()
    words = st.text_input("Search all chapters", key=reading.SEARCH, icon=":material/search:")
    if chapter != reading.CONTENTS and not words:
        reading.show_sections(chapter)
with right, st.container(width=reading.WIDTH_PX):
    if words:
        reading.show_results(words, search(words))
    elif chapter == reading.CONTENTS:
        reading.show_contents()
    else:
        reading.show_chapter(chapter)
reading.follow_links()
