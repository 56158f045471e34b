"""What the columns of a table of scored pairs are usually called, and which of them a table has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairlab.reading.table_text import plain

SCORE = (
    "score", "scores", "similarity", "similarity_score", "sim", "cosine", "cosine_similarity", "cos_sim", "cos",
    "match_score", "comparison_score",
)  # fmt: skip
DISTANCE = (
    "distance", "distances", "dist", "l2", "l2_distance", "euclidean", "euclidean_distance", "cosine_distance",
    "dissimilarity",
)  # fmt: skip
LABEL = (
    "label", "genuine", "is_genuine", "same", "is_same", "issame", "mated", "is_mated", "match", "is_match", "same_person",
    "same_identity", "target", "y_true", "ground_truth", "gt", "labels",
)  # fmt: skip
GROUP = (
    "group",
    "race",
    "ethnicity",
    "demographic",
    "demographic_group",
    "subgroup",
    "groups",
    "skin_tone",
    "gender",
    "sex",
)
FOLD = ("fold", "folds")
_PEOPLE = (
    "id", "identity", "person", "subject", "subject_id", "person_id", "identity_id", "individual", "name",
)  # fmt: skip
_IMAGES = (
    "img",
    "image",
    "p",
    "file",
    "path",
    "filename",
    "image_path",
    "img_path",
    "template",
    "template_id",
    "photo",
)
_GROUPS = ("group", "att", "race", "ethnicity", "demographic", "subgroup", "gender", "sex")
_SIDES = (("1", "2"), ("_a", "_b"), ("a", "b"))
_OTHER_PEOPLE = (
    ("probe_subject_id", "bio_ref_subject_id"),
    ("probe_subject", "gallery_subject"),
    ("probe_identity", "gallery_identity"),
    ("probe_id", "gallery_id"),
    ("probe_id", "reference_id"),
)
_OTHER_IMAGES = (
    ("probe_template_id", "bio_ref_template_id"),
    ("probe_key", "bio_ref_key"),
    ("probe_image", "gallery_image"),
    ("probe", "gallery"),
    ("probe", "reference"),
)
PROBE, REFERENCE = "probe_", "bio_ref_"
NO_ATTRIBUTE = {"subject_id", "template_id", "key", "reference_id", "path"}
"""Of bob's columns probe_X and bio_ref_X, those that are no attribute of a person."""

GENUINE = {
    "1": True,
    "1.0": True,
    "true": True,
    "genuine": True,
    "mated": True,
    "same": True,
    "match": True,
    "yes": True,
    "0": False,
    "0.0": False,
    "-1": False,
    "-1.0": False,
    "false": False,
    "impostor": False,
    "imposter": False,
    "non-mated": False,
    "nonmated": False,
    "different": False,
    "non-match": False,
    "nonmatch": False,
    "no": False,
}
"""What a label may say."""

WANTED = (
    "'score'; 'label' (1 genuine, 0 impostor), or 'id1' and 'id2' (whose faces), best both; 'group', or 'group1' and "
    "'group2'; if known 'img1', 'img2' and 'fold'"
)
"""The columns of a table of scored pairs, as half a sentence for messages."""


def _sided(stems: Iterable[str]) -> list[tuple[str, str]]:
    return [(plain(stem + one), plain(stem + two)) for one, two in _SIDES for stem in stems]


PEOPLE, IMAGES, GROUPS = _sided(_PEOPLE) + list(_OTHER_PEOPLE), _sided(_IMAGES) + list(_OTHER_IMAGES), _sided(_GROUPS)
ALL = frozenset(
    {*SCORE, *DISTANCE, *LABEL, *GROUP, *FOLD, *(name for pair in (*PEOPLE, *IMAGES, *GROUPS) for name in pair)}
)
"""Every name that is understood, as `plain` writes it."""


def meanings(names: Sequence[str]) -> dict[str, str]:
    """What a table has -> the name of its column: score, distance, label, group, group1, group2, id1, id2, img1, img2, fold.

    Of several names for one thing the first in the lists above counts; of several columns the first. A name that stands
    for people is not taken for images too.
    """
    there: dict[str, str] = {}
    for name in names:
        there.setdefault(plain(name), name)
    known: dict[str, str] = {}
    for what, usual in (("score", SCORE), ("distance", DISTANCE), ("label", LABEL), ("group", GROUP), ("fold", FOLD)):
        name = next((name for name in usual if name in there), "")
        known.update({what: there[name]} if name else {})
    for what, pairs in (("id", PEOPLE), ("img", IMAGES), ("group", GROUPS)):
        pair = next((pair for pair in pairs if set(pair) <= set(there)), None)
        if pair:
            known.update({f"{what}1": there[pair[0]], f"{what}2": there[pair[1]]})
    return known


def attributes_of_both(names: Sequence[str]) -> list[str]:
    """What bob's tables say of both images: X of every probe_X that has a bio_ref_X."""
    both = [name[len(PROBE) :] for name in names if name.startswith(PROBE) and REFERENCE + name[len(PROBE) :] in names]
    return [name for name in both if name not in NO_ATTRIBUTE]
