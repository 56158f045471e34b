"""The tables handed from stage to stage: their column names live here and nowhere else."""

IMAGES = ("image_id", "dataset", "split", "identity", "group", "source", "location")
"""A row is an image. image_id: its row number in the data set (int64); identity, group, split, source: text;
location: row number in the pixel file, or a path. A further attribute is a column `attribute.<name>`."""

PAIRS = ("pair_id", "protocol", "image_a", "image_b", "genuine", "group", "fold")
"""A row is a comparison. protocol: which list it belongs to ("validation", "test"); image_a/b: image_id;
genuine: same identity?; fold: 0..9, contiguous blocks."""

TEMPLATES = ("template", "image_id", "media", "weight", "name")
"""A row is an image of a template, where a data set compares templates: several images of one person as one vector.
template: image_id of the template's first image, by which pairs name it in image_a/b; media: number of the photograph or
video within the template that the image is from; weight: of the image in it, e.g. a detector's score; name: the data's
own name of the template (text). An image is in one template at most."""

RUNS = (
    "run_id",
    "study",
    "title",
    "role",
    "method",
    "preset",
    "status",
    "reason",
    "created_at",
    "finished_at",
    "parents",
    "config",
    "code_version",
    "seed",
    "dataset",
    "train_s",
)
"""A row is a run. parents and config are JSON text; times are UTC ISO 8601; train_s: process CPU seconds."""

EVENTS = ("run_id", "step", "epoch", "name", "value", "time_s")
"""A row is a reading. step counts from 1; time_s: seconds of work since the run's first start."""

SCORES = ("run_id", "pair_id", "score")
"""A row is a scored pair. score: cosine of the two fused embeddings, higher = more alike."""

METRICS = (
    "run_id",
    "protocol",
    "group",
    "metric",
    "operating_point",
    "value",
    "low",
    "high",
    "genuine_pairs",
    "impostor_pairs",
)
"""A row is a number. group: a group's name or ALL_GROUPS; low/high: 95 % interval; value NaN = "n/a"."""

PROJECTION = ("run_id", "image_id", "x", "y")
"""A row is a point of a map."""

ALL_GROUPS = "all"
