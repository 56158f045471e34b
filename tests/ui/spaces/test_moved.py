"""What moved, on Spaces."""

from __future__ import annotations

import shlex

import pytest

from fairlab.cli import arguments
from fairlab.cli.main import parser_for
from fairlab.settings.study import Moved
from fairlab.ui.spaces.moved import command


@pytest.mark.parametrize("splits", [(), ("test",), ("it's `a` part", "val")])
def test_the_command_beside_the_button_measures_the_same(splits: tuple[str, ...]) -> None:
    """The parts of the data that are chosen, too: without them it would measure all."""
    settings = Moved(splits=splits)
    words = shlex.split(command(["one", "two"], "faces", settings))
    options = parser_for(words[1:]).parse_args(words[1:])
    assert (options.before, options.after, options.data) == ("one", "two", "faces")
    assert Moved(**arguments.dials(options)) == settings
