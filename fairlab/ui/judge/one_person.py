"""One person: images, genuine and impostor scores beside those of the group, and the nearest other people in each space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.compare.people import PeopleBehind
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.plots.people import person_figure
from fairlab.store.embeddings import has_embeddings
from fairlab.store.index import Index, index_among
from fairlab.store.runs import SPACES, RunRecord
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.numbers import cell
from fairlab.ui.frame.page import chart, plain
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.ui.judge.pairs import Asked

IMAGES, OTHERS, SEARCHED = 18, 8, 200
"""Images shown of a person; other people shown; images of others searched for them."""


def panel(asked: Asked, found: PeopleBehind, who: list[str]) -> None:
    """All about one person; nothing where nobody is picked."""
    choices.show("who", who)
    if not who:
        return
    rows = found.people[(found.people["identity"] == who[-1]).to_numpy()]
    if rows.empty:
        st.caption(f"{plain(who[-1][:80])} of this link is in none of these pairs.")
        choices.show("who", [])
        return
    with st.container(border=True):
        for _, row in rows.iterrows():
            _numbers(row)
        _images(asked.data, who[-1])
        _scores(asked, rows.iloc[0])
        _near(asked, who[-1])


def _numbers(row: pd.Series) -> None:
    """Name, group, kinds, and both rates with counts and interval."""
    kinds = f" · {plain(row['zoo'])}" if row["zoo"] else ""
    said = [f"**{plain(row['identity'])}** · {plain(row['group'])}{kinds}"]
    for title, rate, errors, pairs in (
        ("False non-matches", "fnmr", "false_non_matches", "genuine_pairs"),
        ("False matches", "fmr", "false_matches", "impostor_pairs"),
    ):
        number = cell(row[rate], row[f"{rate}_low"], row[f"{rate}_high"], 1, 100)
        said.append(f"{title}: {row[errors]:,} of {row[pairs]:,} pairs, in percent {number}")
    st.markdown("  \n".join(said))


def _own(data: Dataset, who: str) -> pd.DataFrame:
    """The person's images."""
    return data.images[(data.images["identity"] == who).to_numpy()]


def _images(data: Dataset, who: str) -> None:
    own = _own(data, who)
    if data.has_images:
        faces(data.dataset_id, [Face(int(image)) for image in own["image_id"].head(IMAGES)], "who", 64)
    if len(own) > IMAGES:
        st.caption(f"The first {IMAGES} of {len(own):,} images.")


def _scores(asked: Asked, row: pd.Series) -> None:
    """The person's scores above those of the group."""
    from fairlab.ui.judge.pairs import decisions

    table = decisions(asked.found, asked.point)
    of_group = table[((table["group_a"] == row["group"]) & (table["group_b"] == row["group"])).to_numpy()]
    mine = ((of_group["identity_a"] == row["identity"]) | (of_group["identity_b"] == row["identity"])).to_numpy()
    genuine, scores = of_group["genuine"].to_numpy(bool), of_group["score"].to_numpy()
    parts = (("genuine", genuine), ("impostor", ~genuine))
    own = {name: scores[mine & of] for name, of in parts}
    chart(
        person_figure(own, float(of_group["threshold"].iloc[0]), {name: scores[of & ~mine] for name, of in parts}),
        "person scores",
        f"scores of {row['identity']} beside the group's",
        table=of_group[mine],
    )
    st.caption("Marks: this person's pairs. Grey: 5 %, 50 % and 95 % of the group's other pairs. Dashed: threshold.")


def _near(asked: Asked, who: str) -> None:
    """The nearest other people in the space of this model, and of the second model where there is one."""
    second = next(iter(choices.asked("second")), "")
    models = [model for model in asked.models if model.run_id in (asked.found.run_id, second)]
    models = [model for model in models if model.role in SPACES and _embedded(model, asked.data)]
    models.sort(key=lambda model: model.run_id != asked.found.run_id)
    if not models:
        return
    images, own = asked.data.images, _own(asked.data, who)
    parts = tuple(dict.fromkeys(own["split"]))
    for column, model in zip(st.columns(len(models), gap="medium"), models, strict=True):
        with column:
            st.markdown(f"**Nearest other people**, {plain(asked.titles[model.run_id])}")
            try:
                near = nearest(asked.lab, model, asked.data, own["image_id"].to_numpy(), parts)
            except FairLabError as error:
                st.caption(plain(error))
                continue
            shown = [
                Face(image, str(images["identity"].iloc[image]), f"{score:.3f}", str(images["group"].iloc[image]))
                for image, score in near
            ]
            faces(asked.data.dataset_id, shown, f"near {model.run_id}", 64, pictures=asked.data.has_images)
    st.caption(
        f"Each other person's image nearest to the mean of this person's embeddings, and its cosine; among the "
        f"{plain(', '.join(parts))} images."
    )


def _embedded(model: RunRecord, data: Dataset) -> bool:
    return has_embeddings(model.folder, data.dataset_id, "plain")


def nearest(
    lab: Workspace, model: RunRecord, data: Dataset, own: np.ndarray, parts: tuple[str, ...]
) -> list[tuple[int, float]]:
    """(image, cosine) of the nearest image of each of the nearest other people, the nearest first."""
    embeddings, whole = cached.space(lab, model.run_id, data.dataset_id)
    index = whole if set(parts) == set(data.images["split"]) else _part(embeddings.hash, parts, lab, model, data)
    query = np.asarray(embeddings.vectors[embeddings.rows_of(own)], dtype=np.float64).mean(0)
    length = float(np.linalg.norm(query))
    if length < 1e-9:
        raise FairLabError("no nearest people: the embeddings of this person cancel out")
    wanted = min(len(own) + SEARCHED, len(index.ids))  # the person's own images come first
    scores, ids = index.search((query / length).astype(np.float32)[None], wanted)
    identity = data.images["identity"].to_numpy()
    who, found = identity[own[0]], dict[str, tuple[int, float]]()
    for image, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
        if image >= 0 and identity[image] != who:
            found.setdefault(str(identity[image]), (image, score))
    return list(found.values())[:OTHERS]


@st.cache_resource(max_entries=8, show_spinner=False)
def _part(vectors: str, parts: tuple[str, ...], _lab: Workspace, _model: RunRecord, _data: Dataset) -> Index:
    embeddings, _ = cached.space(_lab, _model.run_id, _data.dataset_id)
    images = _data.images
    return index_among(embeddings, images.loc[images["split"].isin(parts), "image_id"].to_numpy())
