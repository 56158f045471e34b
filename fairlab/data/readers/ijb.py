"""IJB-B and IJB-C (Whitelam et al., CVPRW 2017; Maze et al., ICB 2018): templates, several images of a person each, are
compared. Folder as insightface releases it: `meta/` with three lists, `loose_crop/` with a face in every image.

The lists name nobody. The two templates of a genuine pair show one person, and so do all that such pairs hang together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairlab.data.attributes import with_groups
from fairlab.data.enrolment import failures
from fairlab.data.folds import spread_folds
from fairlab.data.formats.text_lists import wrong
from fairlab.data.listing import READERS, Listing, Problem, Progress, Stop, problem
from fairlab.data.readers.folders import read_below
from fairlab.data.readers.ijb_lists import (
    MEMBERS,
    PAIRS,
    POINTS,
    Faces,
    Members,
    TemplatePairs,
    list_file,
    lists_of,
    read_faces,
    read_members,
    read_template_pairs,
)
from fairlab.data.readers.pair_files import MIXED
from fairlab.data.walking import walk
from fairlab.errors import FairLabError, Stopped
from fairlab.settings.study import Source

FOLDER, UNKNOWN = "loose_crop", "unknown group"


def _root_of(path: Path) -> tuple[Path, str]:
    """(folder with meta/ and loose_crop/, prefix of the lists). Raises FairLabError when there is none, or several."""
    found = lists_of(path) if path.is_dir() else []
    if len(found) != 1:
        several = ", ".join(f"{prefix} in {root}" for root, prefix in found)
        raise FairLabError(
            f"{path} holds several sets of lists ({several}); name the folder of one"
            if found
            else f"{path} has no folder meta with IJB's lists, e.g. meta/ijbb{MEMBERS}"
        )
    return found[0]


@READERS.register("ijb", title="IJB-B and IJB-C with their lists", order=11)
class Ijb:
    """Pairs are of templates; a person is named by the lowest number of his or her templates."""

    def detect(self, path: Path) -> str:
        """One of the three lists in meta/."""
        found = lists_of(path) if path.is_dir() else []
        return f"lists of templates in {found[0][0] / 'meta'}" if found else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of the list of templates; groups only from a table."""
        if source.pair_list or source.split == "validation":
            raise FairLabError(
                "IJB compares templates: its pairs cannot be replaced by a list or used to choose a model"
            )
        root, prefix = _root_of(path)

        def beat(done: int, total: int) -> None:
            if stop():
                raise Stopped
            progress(done, total)

        lists = [list_file(root, prefix, ending) for ending in (MEMBERS, POINTS, PAIRS)]
        members = read_members(lists[0])
        beat(0, 0)
        faces = read_faces(lists[1])
        face_of = _face_of(members, faces)
        there, files, problems = _images(root, members, faces, progress, stop)
        known, template = np.unique(members.template, return_inverse=True)
        pairs = read_template_pairs(lists[2], known, beat)
        people = _people(pairs)
        template, face_of = template[there], face_of[there]
        failed = _without_face(faces, template, face_of, known)
        if len(failed) == len(known):
            raise FairLabError(f"no template of {root} can be compared: {next(iter(failed.values()))}, in all of them")
        images = pd.DataFrame({"location": files})
        images["identity"] = known[people].astype(str).astype(object)[template]
        images, attribute, more = with_groups(images, source, "")
        table = pd.DataFrame({"template": template, "image_id": np.arange(len(images))})
        table["media"] = members.media[there]
        table["weight"] = faces.score[face_of]
        table["name"] = known[template].astype(str)
        group, mixed = _groups(images["group"], template, known, people)
        listed = _pairs(pairs, people, group)
        enrolled = ~np.isin(np.arange(len(known)), list(failed))
        stays = enrolled[pairs.places].all(axis=1)
        unenrolled = failures(
            "templates", len(known), {str(known[t]): why for t, why in failed.items()}, listed[~stays]
        )
        table, listed = _by_first_image(table[enrolled[template]], listed[stays], len(known))
        said = [
            f"{prefix}: {len(known):,} templates of {len(images):,} images, compared {len(pairs.genuine):,} times",
            f"{len(np.unique(people)):,} people, inferred from genuine pairs",
        ]
        return Listing(
            images,
            attribute,
            listed,
            faces.points[face_of],
            [*problems, *more, *mixed],
            said,
            table,
            unenrolled=unenrolled,
        )

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below loose_crop/."""
        return read_below(_root_of(path)[0] / FOLDER, locations)


def _face_of(members: Members, faces: Faces) -> np.ndarray:
    """The row of each member (N,) among the faces. Raises Damaged naming the line of one without points."""
    rows = pd.Index(faces.names).get_indexer(members.names)
    lacking = np.flatnonzero(rows < 0)
    if len(lacking):
        name = members.names[lacking[0]]
        raise wrong(
            members.path, int(members.lines[lacking[0]]), f"the image {name!r} has no points in {faces.path.name}"
        )
    return np.asarray(rows)


def _images(
    root: Path, members: Members, faces: Faces, progress: Progress, stop: Stop
) -> tuple[np.ndarray, np.ndarray, list[Problem | str]]:
    """(rows of the members whose file is there, rising; those files; what is missing or too much). A list that says 1.jpg
    means 1.JPG where there is no other.
    """
    if not (root / FOLDER).is_dir():
        raise FairLabError(f"{root} has no folder {FOLDER} with the images of its lists")
    tree = walk(root / FOLDER, members.names[0].count("/") + 1, progress, stop)
    place = pd.Index(tree.files).get_indexer(members.names)
    lower = pd.Index([name.lower() for name in tree.files])
    if (place < 0).any() and lower.is_unique:
        place = np.where(place < 0, lower.get_indexer([name.lower() for name in members.names]), place)
    here = place >= 0
    names = np.array(members.names, dtype=object)
    problems: list[Problem | str] = [*tree.problems()]
    problems += problem(f"images of {members.path.name} that are not in {FOLDER}, left out", names[~here])
    files = np.array(tree.files, dtype=object)
    used = pd.Index([*members.names, *files[place[here]]])
    for what, given in ((f"images in {FOLDER}", tree.files), (f"rows of {faces.path.name}", faces.names)):
        spare = pd.Index(given).difference(used, sort=False)
        problems += problem(f"{what} in no template, left out", spare.tolist())
    return np.flatnonzero(here), files[place[here]], problems


def _without_face(faces: Faces, template: np.ndarray, face_of: np.ndarray, known: np.ndarray) -> dict[int, str]:
    """Places in `known` of the templates that cannot be compared, and why: none of their images is there, or none has a
    score above 0, so that nothing is left of them.
    """
    there = np.bincount(template, minlength=len(known))
    score = np.bincount(template, faces.score[face_of], len(known))
    why = {True: f"none of its images is in {FOLDER}", False: f"all scores of its images in {faces.path.name} are 0"}
    return {int(place): why[bool(there[place] == 0)] for place in np.flatnonzero(score <= 0)}


def _by_first_image(table: pd.DataFrame, pairs: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(templates, pairs) that name each of `count` templates by its first image instead of its place."""
    first = np.full(count, -1)
    rows = table.drop_duplicates("template")
    first[rows["template"]] = rows["image_id"]
    renamed = pairs.assign(image_a=first[pairs["image_a"]], image_b=first[pairs["image_b"]])
    return table.assign(template=first[table["template"]]).reset_index(drop=True), renamed.reset_index(drop=True)


def _people(pairs: TemplatePairs) -> np.ndarray:
    """Of each template (T,) the place of the lowest-numbered one of the same person.

    Raises Damaged, naming the line of an impostor pair of templates that genuine pairs make one person.
    """
    count = len(pairs.known)
    a, b = pairs.places.T
    same = coo_array((np.ones(int(pairs.genuine.sum())), (a[pairs.genuine], b[pairs.genuine])), shape=(count, count))
    person = connected_components(same, directed=False)[1]
    lying = np.flatnonzero((person[a] == person[b]) & ~pairs.genuine)
    if len(lying):
        one, two = pairs.known[pairs.places[lying[0]]]
        raise wrong(
            pairs.path,
            int(pairs.lines[lying[0]]),
            f"the templates {one} and {two} are listed as two people, but genuine pairs of this list make them one",
        )
    lowest: np.ndarray = np.unique(person, return_index=True)[1][person]
    return lowest


def _groups(
    of_image: pd.Series, template: np.ndarray, known: np.ndarray, people: np.ndarray
) -> tuple[np.ndarray, list[Problem]]:
    """(group of each template (T,), problems): that of its images, or of most of them; without any, of its person."""
    counts = (
        pd.DataFrame({"template": template, "group": of_image.astype(object)}).groupby(["template", "group"]).size()
    )
    table = counts.rename("images").reset_index().sort_values(["template", "images"], ascending=[True, False])
    several = table["template"].value_counts(sort=False)
    odd = known[np.sort(several.index[several > 1].to_numpy())]
    chosen = table.drop_duplicates("template").set_index("template")["group"].reindex(np.arange(len(known)))
    of_person = chosen.groupby(people).transform("first")
    chosen = chosen.fillna(of_person).fillna(UNKNOWN)
    return chosen.to_numpy(dtype=object), problem(
        "templates with images of several groups, assigned to the most frequent one", odd.tolist()
    )


def _pairs(pairs: TemplatePairs, people: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    """The pairs by their templates' places; folds keep all comparisons of the same two people together."""
    a, b = pairs.places.T
    names, code = np.unique(group.astype(str), return_inverse=True)
    of_pair = np.where(code[a] == code[b], code[a], len(names)).astype(np.int32)
    folds = spread_folds(people[a], people[b], pairs.known.astype(str).tolist(), of_pair, pairs.genuine)
    table = pd.DataFrame({"image_a": a, "image_b": b, "genuine": pairs.genuine})
    table["group"] = pd.Categorical.from_codes(of_pair, [*names, MIXED]).remove_unused_categories()
    return table.assign(fold=folds)
