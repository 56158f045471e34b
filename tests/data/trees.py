"""Small trees of images as other people have them, for the tests of the readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

RACES = ("African", "Asian", "Caucasian", "Indian")
LMK = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])


def face(path: Path, seed: int, px: int = 112, kind: str = "JPEG") -> None:
    """A picture that nothing else equals."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((px, px), Image.Resampling.BICUBIC).save(path, kind)


def grouped(root: Path, groups: tuple[str, ...] = ("A", "B"), people: int = 3, each: int = 2, px: int = 112) -> Path:
    """<group>/<identity>/<image>, as BUPT-BalancedFace."""
    for g, group in enumerate(groups):
        for person in range(people):
            for number in range(each):
                face(root / group / f"m.{g}{person}" / f"{number}.jpg", 1000 * g + 10 * person + number, px)
    return root


def rfw(root: Path, people: int = 6, px: int = 200) -> Path:
    """test/data and test/txts with pairs and landmarks; 10 genuine and 10 impostor pairs of every group."""
    for g, race in enumerate(RACES):
        names = [f"m.{race[:2].lower()}{n}" for n in range(people)]
        lists = root / "test" / "txts" / race
        lists.mkdir(parents=True)
        landmarks = []
        for n, name in enumerate(names):
            for number in range(1, 4):
                face(
                    root / "test" / "data" / race / name / f"{name}_{number:04d}.jpg",
                    10_000 + 100 * g + 10 * n + number,
                    px,
                )
                points = "\t".join(f"{value:.2f}" for value in (LMK * 1.2 + 20).ravel())
                landmarks.append(f"/test/data/{race}/{name}/{name}_{number:04d}.jpg\t{n}\t{points}")
        pairs = []
        for fold in range(10):
            person = names[fold % people]
            pairs.append(f"{person}\t{1 + fold // people}\t{2 + fold // people}")
            pairs.append(f"{person}\t1\t{names[(fold + 1 + fold // people) % people]}\t{1 + fold // people}")
        (lists / f"{race}_pairs.txt").write_text("\n".join(pairs) + "\n")
        (lists / f"{race}_lmk.txt").write_text("\n".join(landmarks) + "\n")
    return root
