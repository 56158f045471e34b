"""`lab.storage`: what the workspace holds on disk, and how it gets less."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fairlab.api.arguments import Progress, run_ids, silent
from fairlab.api.run import Run
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.api.studies import Study
    from fairlab.storage.archive import Choice
    from fairlab.storage.people.forget_survey import Found
    from fairlab.storage.retention import Expired, Limit


class Storage:
    """The disk of a workspace.

    >>> lab.storage.usage("kind")
    >>> lab.storage.prunable()["bytes"].sum()
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        return "<storage: usage(), prunable(), prune(), archive(), bring_in(), limits()>"

    def usage(self, by: str = "") -> pd.DataFrame:
        """What the workspace holds.

        by: "run", "study" or "kind" adds it up. Returns a DataFrame with bytes and files, the largest first when added up.
        Raises FairLabError for another word.

        >>> lab.storage.usage("study")
        """
        from fairlab.storage.disk import summed, usage

        table = usage(self._workspace)
        return summed(table, by) if by else table

    def prunable(self, keep: int = 1, study: str = "", runs: Sequence[str | Run] = ()) -> pd.DataFrame:
        """Checkpoints that prune() would delete, without touching them.

        keep: how many checkpoints of each run stay, the newest. study, runs: only those of these. Returns a DataFrame with
        run_id, status, checkpoint and bytes. Raises FairLabError for a run that does not exist.

        >>> lab.storage.prunable(keep=0)
        """
        from fairlab.storage.prune import prunable

        return prunable(self._workspace, keep, study, run_ids(runs))

    def prune(self, keep: int = 1, study: str = "", runs: Sequence[str | Run] = ()) -> pd.DataFrame:
        """Delete checkpoints of runs that have ended; arguments as in prunable(). Returns what was deleted.

        >>> lab.storage.prune(keep=0)
        """
        from fairlab.storage.prune import prune

        return prune(self._workspace, keep, study, run_ids(runs))

    def archive(
        self,
        what: str | Run | Study,
        path: str | Path,
        choice: Choice | None = None,
        progress: Progress = silent,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Write a run, or a study with its runs, as one tar file with hashes.

        choice: whether numbers, templates (embeddings, classifiers) and checkpoints go along. progress: called with bytes
        (done, total). Returns the archive's listing. Raises Refused while a run works, and for a file that exists unless
        `overwrite`; FairLabError for a name that does not exist.

        >>> lab.storage.archive(study, "study.tar")["runs"]
        """
        from fairlab.storage.archive import archive

        name = str(getattr(what, "study_id", getattr(what, "run_id", what)))
        out = Path(path).expanduser().absolute()
        return archive(self._workspace, name, out, choice, progress, overwrite=overwrite)

    def bring_in(self, path: str | Path, progress: Progress = silent) -> dict[str, Any]:
        """Import an archive that archive() has written; nothing is overwritten.

        Returns {"study", "runs", "same", "missing", "notes"}. Raises Refused for a run that exists with other content,
        Damaged for a file that is not as its hashes say.

        >>> lab.storage.bring_in("study.tar")["runs"]
        """
        from fairlab.storage.archive_reading import bring_in

        return bring_in(self._workspace, Path(path).expanduser().absolute(), progress)

    def limits(self) -> list[Limit]:
        """Age limits of data sets (data_set.keep()). Returns a list with dataset, days, until and over.

        >>> [limit.dataset for limit in lab.storage.limits() if limit.over]
        """
        from fairlab.storage.retention import limits

        return limits(self._workspace)

    def forget_expired(self, heads: bool = False) -> Expired:
        """Delete the data sets that are over their age limit, with all that was made of their images.

        heads: zero the rows of their people in classifiers too. Returns gone (limits) and left (why others stay).

        >>> lab.storage.forget_expired().gone
        []
        """
        from fairlab.storage.retention import forget_expired

        return forget_expired(self._workspace, heads=heads)

    def finish_forgetting(self) -> Found | None:
        """Finish an interrupted deletion of people, then start what waits. Returns what it reached, None for none.

        >>> lab.storage.finish_forgetting()
        """
        from fairlab.queue.launch import dispatch
        from fairlab.storage.people.forget import finish

        reached = finish(self._workspace)
        dispatch(self._workspace)  # nothing could start meanwhile
        return reached
