"""Text from data in Markdown, and numbers in words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fairlab.formatting import duration
from fairlab.ui.frame.page import plain


@settings(deadline=None)  # seconds say nothing on a machine with other work
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_markdown_shows_escaped_text_letter_by_letter(text: str) -> None:
    """Whatever a label holds, it is shown and nothing else happens."""
    tokens = MarkdownIt("commonmark").parseInline(plain(text))
    assert "".join(child.content for token in tokens for child in token.children or []) == text
    assert {child.type for token in tokens for child in token.children or []} <= {"text", "text_special"}


@pytest.mark.parametrize("name", ["![x](http://evil.example/a.png)", "<img src=http://evil.example>", ":red[x]", "$x$"])
def test_pictures_tags_and_directives_are_disarmed(name: str) -> None:
    """No character that starts one is left bare."""
    shown = plain(name)
    assert not any(shown[n] in "![]<>():$" and shown[n - 1] != "\\" for n in range(1, len(shown)))
    assert shown[0] == "\\"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (float("nan"), ""), (0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (7320, "2 h 02 min")],
)
def test_durations_are_words(seconds: float | None, words: str) -> None:
    """Seconds, minutes, hours; nothing for none."""
    assert duration(seconds) == words
