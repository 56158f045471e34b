"""Data: the images, people, groups and pairs of a data set."""

from fairlab.ui import browsing
from fairlab.ui.page import start
from fairlab.ui.pickers import pick_dataset

lab = start("Data", "What a data set holds: images, people, groups, and the pairs that models are judged on.")
data = pick_dataset(lab)
browsing.counts(data)
browsing.mean_faces(data)
group = browsing.people(data)
browsing.pairs(data, group)
browsing.parts(data)
