"""The settings of data and of models from files; fairlab.settings.study hands them on."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fairlab.settings.base import Level, Name, Names, PathText, Seed, Settings, Text


class DemoData(Settings):
    """The generated faces: how many, of whom, how hard."""

    seed: Seed = Field(0, description="Seed of everything drawn: people, images and pairs.")
    image_px: int = Field(48, ge=24, le=224, description="Width and height of an image in pixels.")
    groups: Names = Field(
        ("Group A", "Group B", "Group C", "Group D"),
        min_length=1,
        max_length=12,
        description="Names of the groups; they say nothing about real people.",
    )
    train_identities: int = Field(150, ge=2, le=100_000, description="People per group to train on.")
    train_images: int = Field(10, ge=2, le=1000, description="Images of each person to train on.")
    validation_identities: int = Field(
        24, ge=2, le=100_000, description="Held-out people per group, for choosing settings."
    )
    test_identities: int = Field(40, ge=2, le=100_000, description="Held-out people per group, for the final numbers.")
    test_images: int = Field(8, ge=2, le=1000, description="Images of each held-out person.")
    synthetic_identities: int = Field(
        60,
        ge=0,
        le=100_000,
        description="People per group in the second, 'synthetic' style (too little variation); 0 leaves it out.",
    )
    test_pairs: int = Field(
        1120, ge=10, le=1_000_000, description="Genuine pairs per group in the test list, and as many impostor pairs."
    )
    validation_pairs: int = Field(
        400,
        ge=10,
        le=1_000_000,
        description="Genuine pairs per group in the validation list, and as many impostor pairs.",
    )
    hard_impostors: int = Field(
        12,
        ge=1,
        le=10_000,
        description="Impostors are drawn among this many most similar people of the group, as RFW's are.",
    )
    level: float = Field(0.6, ge=0.0, le=1.5, description="Strength of pose, expression, light, blur and occlusion.")

    @model_validator(mode="after")
    def _groups_differ(self) -> Self:
        if len(set(self.groups)) != len(self.groups) or any(not name.strip() for name in self.groups):
            raise ValueError("groups must have different, non-empty names")
        return self


class Source(Settings):
    """Images and pairs that lie on this machine; they stay where they are and are read from there."""

    path: PathText = Field("", description="File or folder.")
    kind: Name = Field("", description="What it is; empty: found out by looking.")
    attribute: Name = Field("", description="What the groups are values of, e.g. Ethnicity; empty: as the data say.")
    groups_table: PathText = Field(
        "", description="CSV with a column 'identity' or 'image' and one column for each attribute; empty: none."
    )
    group: Name = Field("everyone", min_length=1, description="Name of the one group where the data name no groups.")
    pair_list: PathText = Field(
        "", description="Text file of pairs to evaluate models on; empty: the data's own, if any."
    )
    identity_pattern: Name = Field(
        "",
        description="The pattern of file names that contain the identity, e.g. {identity}_{number} or "
        "{group}/{identity}_{age}_{number}; further words become attributes; empty: as the data have it.",
    )
    split: Literal["auto", "train", "validation", "test"] = Field(
        "auto",
        description="Part that the images belong to; auto: as folders or tables say, else test where there are pairs, "
        "otherwise train.",
    )
    source: Literal["real", "synthetic"] = Field("real", description="Whether people or a generator were photographed.")
    image_px: int = Field(
        112, ge=16, le=512, description="Width and height of the images in pixels, as models see them."
    )
    align: bool = Field(
        True, description="Turn and scale faces to the template where the data bring landmarks and are not aligned yet."
    )
    swap_channels: bool = Field(
        False, description="Swap red and blue channels: for packs that were written the wrong way."
    )
    copy_pixels: bool = Field(
        False, description="Also decode every image once into one file of the workspace: faster to read, large."
    )
    fingerprint: Name = Field(
        "", description="Fingerprint that the data set must have; with any other, nothing is registered. Empty: any."
    )


class ModelFile(Settings):
    """A model that was trained elsewhere. What is left empty is found out from the file."""

    path: PathText = Field(
        "",
        description="File of the model: .pth, .pth.tar, .pt, .ckpt, .bin, .safetensors or .onnx; or of what it said: a "
        "table of scores (BFW, bob, or any CSV of pairs), or embeddings (.npy, .npz, .parquet).",
    )
    sha256: Name = Field("", description="Hash of the file; filled in when the model is added.")
    head: PathText = Field(
        "", description="File of its classifier, where that is a file of its own (for methods that inherit it)."
    )
    column: Name = Field("", description="Of a table of scores: the model that is meant; filled in when it is added.")
    attribute: Name = Field(
        "", description="Of a table of scores: the attribute that its groups are values of; empty: as in the table."
    )
    distances: bool = Field(
        False, description="Of a table of scores: it holds distances, where smaller means more alike."
    )
    dataset: Name = Field(
        "", description="Of a file of embeddings: the data set whose images they are of; empty: one of their own."
    )
    publisher: Literal[
        "", "adaface", "cavaface", "clip", "clip_quickgelu", "curricularface", "cvlface", "cvlface_bgr", "edgeface", "face_evolve", "facex_zoo",
        "insightface", "insightface_pytorch", "magface", "timm",
    ] = Field(
        "",
        description="Of a checkpoint: the code that trained it, where the file does not say; decides colours and scaling, for MagFace the network (batch-norm epsilon 2e-5), and for CLIP the activation.",
    )  # fmt: skip
    image_px: int | None = Field(
        None,
        ge=16,
        le=512,
        description="Width and height of the faces that it takes. Empty: not known, so the file has to say it.",
    )
    channels: Literal["", "RGB", "BGR"] = Field("", description="Order of the colour channels that it was trained on.")
    mean: tuple[Level, ...] = Field(
        (), max_length=3, description="Taken off the pixel values of 0..255: one number, or one for each channel."
    )
    std: tuple[Level, ...] = Field(
        (), max_length=3, description="The pixel values are then divided by this: one number, or three."
    )
    flip: Literal["", "sum", "none"] = Field(
        "", description="sum: add the embedding of the mirror image; none: the image alone."
    )
    landmarks: Literal["", "data", "template"] = Field(
        "",
        description="Of a network that takes landmarks (KP-RPE). data (or empty): only the landmarks of the data set. template: a face "
        "without landmarks gets the points of the alignment template.",
    )
    parents: Names = Field(
        (),
        description="Of an adaptor's file: run ids of the models whose embeddings it takes side by side, in the order of its blocks (MST-KD: Asian, African, Caucasian, Indian).",
    )
    adaptor: Literal["", "sl", "dul", "dldpo", "positioning", "encoding"] = Field(
        "",
        description="Of an adaptor's file: which one it is, where keys and folder names do not say (sl and positioning have the same keys, and so have dul and dldpo).",
    )
    groups: Names = Field(
        (),
        description="Of an adaptor's file (positioning, encoding): the group that each parent is the teacher of, in the order of the parents; empty: the group that each was trained on.",
    )
    raw_blocks: bool = Field(
        False,
        description="Of an adaptor's file: the parents' embeddings keep their length, as in MST-KD's adaptor_test; it was trained on embeddings of length 1.",
    )
    chosen_on: Text | None = Field(
        None,
        description="On what its publisher chose it among others, where that is known, e.g. RFW test: its numbers there are too good, and are marked so. Empty: not known.",
    )

    @model_validator(mode="after")
    def _one_or_three(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, 3) or min(values, default=1) < (name == "std") * 1e-6:
                raise ValueError(f"{name} needs one number or three, e.g. 127.5, and std above 0")
        return self


MST_KD_BLOCKS = ("Asian", "African", "Caucasian", "Indian")
"""The order in which MST-KD's adaptors take their teachers (fc_EArc.py, dual_layer_EAF-Fusion.py)."""


class StudyFolder(Settings):
    """A folder of checkpoints as MST-KD's official code writes it: teachers, adaptors and students."""

    path: PathText = Field("", description="Folder with <Ethnicity>, teacher_baseline, EArcAdapter and KD in it.")
    order: Names = Field(
        MST_KD_BLOCKS,
        min_length=1,
        description="Names of the teachers' folders, in the order of the adaptors' blocks.",
    )
    step: Literal["published", "last"] = Field(
        "published",
        description="Which step is taken where a folder holds several. published: the one in MST-KD's configuration, where it names one (specialised teachers), and the last otherwise; last: the last.",
    )


class Data(Settings):
    """Which images a run learns from, and which pairs it is judged on."""

    dataset: Name = Field("", description="Name of the data set in the workspace.")
    splits: Names = Field(("train",), min_length=1, description="Parts of the data set to train on.")
    groups: Names = Field((), description="Train on these groups only; empty means all.")
    parts: int = Field(
        1, ge=1, le=10_000, description="Cut the identities of every group into this many balanced parts ..."
    )
    part: int = Field(0, ge=0, le=9_999, description="... and train on this one (counted from 0).")
    judge: Name | None = Field(
        None,
        description="Another data set whose pairs the run is evaluated on. Empty: none, the data set has pairs of its own.",
    )
    held_out: float | None = Field(
        None,
        gt=0.0,
        le=0.5,
        description="Share of every group's identities that no run with this seed trains on; accuracy after each epoch is measured on them. Empty: no people are held out; the data set's own validation pairs are used when it has some.",
    )

    @field_validator("held_out", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return None if value == 0 else value

    @model_validator(mode="after")
    def _part_exists(self) -> Self:
        if self.part >= self.parts:
            raise ValueError(f"part {self.part} does not exist: there are {self.parts} parts, counted from 0")
        return self
