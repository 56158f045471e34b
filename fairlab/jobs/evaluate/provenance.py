"""What stored numbers come from: hashes of pair lists and embeddings, preprocessing, thresholds, counts; and making them anew."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.inspect.verdicts import fingerprint
from fairlab.files import MANIFEST, read_json
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import RunRecord, read_status
from fairlab.workspace import Workspace


def of_vectors(record: RunRecord, dataset_id: str) -> dict[str, Any]:
    """The embeddings that a model is judged by: SHA-256 of each view's vectors, and what was done to the images before.

    preprocessing is None for embeddings that came as a file, or whose network sees embeddings instead of images.
    """
    plain = open_embeddings(record.folder, dataset_id, "plain")
    found = {"plain": plain.hash}
    if plain.facts.get("flip", "sum") == "sum":
        found["flip"] = open_embeddings(record.folder, dataset_id, "flip").hash
    return {"embeddings": found, "preprocessing": plain.facts.get("preprocessing")}


def pairs_hash(pairs: pd.DataFrame) -> str:
    """SHA-256 of who is compared, in which order, group and fold."""
    digest = hashlib.sha256(pairs[["image_a", "image_b", "fold"]].to_numpy(np.int64).tobytes())
    digest.update(pairs["genuine"].to_numpy(bool).tobytes())
    digest.update("\n".join(pairs["group"].astype(str)).encode())
    return digest.hexdigest()


def of_lists(pairs: dict[str, pd.DataFrame], metrics: pd.DataFrame) -> dict[str, Any]:
    """Per protocol: hash of its pair list, numbers of pairs and people's groups, and the threshold of each point."""
    found = {}
    for protocol, table in pairs.items():
        genuine = table["genuine"].to_numpy(bool)
        of = metrics[(metrics["protocol"] == protocol) & (metrics["metric"] == "threshold")]
        found[protocol] = {
            "pairs": pairs_hash(table),
            "genuine_pairs": int(genuine.sum()),
            "impostor_pairs": int((~genuine).sum()),
            "thresholds": dict(zip(of["operating_point"].tolist(), of["value"].tolist(), strict=True)),
        }
    return found


def met_other_data(workspace: Workspace, record: RunRecord) -> bool:
    """Is a run's data set no longer the one that its newest checkpoint was made with, and nobody has accepted that yet?"""
    here = fingerprint(workspace, record.dataset)
    saved = sorted((record.folder / "checkpoints").glob(f"step-*/{MANIFEST}"))
    saved = [path for path in saved if ".tmp." not in path.parent.name]
    if not here or not saved:
        return False
    return read_json(saved[-1]).get("data") != here != read_status(record.folder).get("accepted_data")
