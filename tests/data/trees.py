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


IJB_TEMPLATES = {7: (2, 1), 3: (1,), 12: (3,), 20: (1, 1), 5: (1,), 31: (2, 2), 8: (1,), 40: (2,)}
"""Template -> images in each of its photographs or videos. Templates 7, 3, 12 are of one person, 20, 5 and 31, 8 of two others."""
IJB_GENUINE = ((7, 3), (12, 3), (20, 5), (8, 31))


def ijb(root: Path, prefix: str = "ijbb", px: int = 60) -> Path:
    """meta/ and loose_crop/: eight templates of four people, 17 images; 4 genuine and 12 impostor pairs.

    The image n.jpg has score 0.5 + n / 100 and the template's five points at half their size, n / 10 px to the right.
    """
    meta = root / "meta"
    meta.mkdir(parents=True)
    members, points, number = [], [], 0
    for template, medias in IJB_TEMPLATES.items():
        for media, images in enumerate(medias):
            for _ in range(images):
                number += 1
                face(root / "loose_crop" / f"{number}.jpg", 20_000 + number, px)
                members.append(f"{number}.jpg {template} {100 * template + media}")
                places = " ".join(f"{value:.3f}" for value in (LMK / 2 + [number / 10, 0]).ravel())
                points.append(f"{number}.jpg {places} {0.5 + number / 100:.2f}")
    pairs = [f"{a} {b} 1" for a, b in IJB_GENUINE]
    pairs += [f"{a} {b} 0" for a in (3, 7, 20) for b in (31, 8, 40)] + ["5 3 0", "12 5 0", "40 31 0"]
    for ending, lines in (("face_tid_mid", members), ("name_5pts_score", points), ("template_pair_label", pairs)):
        (meta / f"{prefix}_{ending}.txt").write_text("\n".join(lines) + "\n")
    return root
