"""How images lie in folders: which level of names is a part, which a group, which a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fairlab.data.names.parts import are_parts, part_of
from fairlab.errors import FairLabError

POSES = {"frontal", "profile"}
"""CFP has them where others have identities: Data/Images/001/frontal/01.jpg."""

_KINDS = re.compile(
    r"(?:(?P<ready>aligned|align|cropped|crops?)|raw|originals?|loose|images?|imgs?|photos?|pictures?|faces?|\d+x\d+|[\s_&+-])+"
)
"""Folders called after how their images are kept and not after people: CALFW has `images` and `aligned images`."""


@dataclass(frozen=True)
class Arrangement:
    """Which place of a path says what, counted from the root; None where no folder says it."""

    said: str
    part: int | None = None
    group: int | None = None
    identity: int | None = None
    pose: int | None = None
    alone: str = ""
    """The one folder that all images lie in, when their identity may as well be in their names."""


def arrange(files: Sequence[str]) -> Arrangement | None:
    """How `files`, paths of one depth with "/", lie; None when there are more folders than FairLab has words for.

    A folder that holds everything is no group: people unpack data sets into folders with readmes beside them.
    """
    folders = sorted({file.rpartition("/")[0] for file in files})
    if folders == [""]:
        return Arrangement("images in one folder")
    levels = [set(names) for names in zip(*(folder.split("/") for folder in folders), strict=True)]
    places = list(range(len(levels)))
    last = len(levels) - 1
    part = next((place for place in places if are_parts(levels[place], alone=place == last or place > 0)), None)
    if part is not None:
        places.remove(part)
        said = [part_of(folder.split("/")[part]) for folder in folders]
        again = [place for place in places if are_parts(levels[place])]
        for place in again:  # vggface2_train/train/n000001: the name of the archive says the part once more
            if [part_of(folder.split("/")[place]) for folder in folders] == said:
                places.remove(place)
    start = "" if part is None else "part/" if part == 0 else ""
    while len(places) > 1 and len(levels[places[0]]) == 1:
        del places[0]
    if not places:
        return Arrangement(f"images as {start}image", part)
    if len(places) == 1:
        single = levels[places[0]]
        alone = next(iter(single)) if len(single) == 1 else ""
        return Arrangement(f"images as {start}identity/image", part, identity=places[0], alone=alone)
    if len(places) == 2 and levels[places[1]] <= POSES:
        return Arrangement(f"images as {start}identity/pose/image", part, identity=places[0], pose=places[1])
    if len(places) == 2:
        return Arrangement(f"images as {start}group/identity/image", part, group=places[0], identity=places[1])
    return None


def one_kind(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """(files, those left out) where the same images lie in several folders, e.g. as photographs and aligned: only the aligned.

    Raises FairLabError where nobody can say which folder is meant.
    """
    folders = sorted({file.partition("/")[0] for file in files if file.count("/") == 1})
    matches = [_KINDS.fullmatch(folder.lower()) for folder in folders]
    if len(folders) < 2 or not all(matches) or any(file.count("/") != 1 for file in files):
        return list(files), []
    ready = [folder for folder, match in zip(folders, matches, strict=True) if match and match["ready"]]
    if len(ready) != 1:
        raise FairLabError(f"the images are in several kinds of folders ({', '.join(folders)}); name the right one")
    kept = [file for file in files if file.startswith(f"{ready[0]}/")]
    return kept, [file for file in files if not file.startswith(f"{ready[0]}/")]


def as_table(files: Sequence[str], arrangement: Arrangement) -> pd.DataFrame:
    """location and, as far as folders say them, split, group, attribute.pose and identity.

    People of one name in two groups are two; in two parts they are one.
    """
    images = pd.DataFrame({"location": pd.Series(list(files), dtype=object)})
    folders = images["location"].str.rpartition("/")[0].astype("category")  # few folders, many images
    names = pd.Series([str(name).split("/") for name in folders.cat.categories], dtype=object)
    codes = folders.cat.codes.to_numpy()

    def column(texts: Sequence[str]) -> pd.Series:
        return pd.Series(pd.Series(list(texts), dtype=object).to_numpy()[codes], dtype=object)

    place = arrangement.part
    if place is not None:
        images["split"] = column([part_of(parts[place]) for parts in names])
    for name, level in (("group", arrangement.group), ("attribute.pose", arrangement.pose)):
        if level is not None:
            images[name] = column([parts[level] for parts in names])
    if arrangement.identity is not None:
        levels = [level for level in (arrangement.group, arrangement.identity) if level is not None]
        images["identity"] = column(["/".join(parts[level] for level in levels) for parts in names])
    return images
