"""Tags, note and star of a run or study handle."""

from __future__ import annotations

from pathlib import Path

from fairlab.store.labels import change_labels, read_labels
from fairlab.workspace import Workspace


class Labelled:
    """What a person says of a run or study, kept in its folder; no number and no id depends on it."""

    _workspace: Workspace

    @property
    def folder(self) -> Path:
        """Where it lies."""
        raise NotImplementedError

    @property
    def tags(self) -> list[str]:
        """Its tags, in the order in which they were given."""
        return list(read_labels(self.folder).tags)

    def tag(self, *tags: str) -> list[str]:
        """Give it these tags; those that it has stay.

        tags: 1 to 40 letters each, without commas. Returns all its tags. Raises FairLabError for others, and for more than 30.

        >>> run.tag("baseline", "table 2")
        ['baseline', 'table 2']
        """
        return list(change_labels(self._workspace, self.folder, add=tags).tags)

    def untag(self, *tags: str) -> list[str]:
        """Take these tags away; one that it does not have is no error. Returns the tags that stay.

        >>> run.untag("baseline")
        ['table 2']
        """
        return list(change_labels(self._workspace, self.folder, remove=tags).tags)

    @property
    def note(self) -> str:
        """Its note, "" for none; assign a text of at most 4,000 letters to change it."""
        return read_labels(self.folder).note

    @note.setter
    def note(self, text: str) -> None:
        change_labels(self._workspace, self.folder, note=text)

    @property
    def star(self) -> bool:
        """Has it a star? Assign True or False to change it."""
        return read_labels(self.folder).star

    @star.setter
    def star(self, star: bool) -> None:
        change_labels(self._workspace, self.folder, star=star)
