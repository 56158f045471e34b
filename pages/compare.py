"""Compare: a study in the papers' layout, a row per model over its seeds, and what differs beyond chance."""

import streamlit as st

from fairlab.compare.compare import find_baseline, of_seed
from fairlab.compare.exports import caption, groups_of
from fairlab.compare.model_rows import by_title
from fairlab.plots.study import models_figure
from fairlab.store.runs import SPACES
from fairlab.ui.compare import charts, rows
from fairlab.ui.compare.headline import sentences
from fairlab.ui.compare.sets import several_sets
from fairlab.ui.frame import cached, caveats
from fairlab.ui.frame.numbers import pick_protocol
from fairlab.ui.frame.overlaps import overlap_note
from fairlab.ui.frame.page import chart, plain, start
from fairlab.ui.frame.pickers import choose, pick_models

lab = start(
    "Compare", "All models of a study on the same pairs: accuracy per group, mean, STD, SER, cost, paired differences."
)
shown = pick_models(lab, "numbers")
runs = [run for run in shown.models if run.role in SPACES]
models = by_title(runs)
left, middle, right = st.columns([1, 2, 1.4])
with left:
    seed = rows.pick_seed(models)
models = models if seed is None else of_seed(models, seed)
with middle:
    titles = list(dict.fromkeys(model.title for model in models))
    about = "Every model is compared with this one: same pairs, same people, runs of the same seed."
    baseline = choose("Baseline", titles, "base", {}, index=titles.index(find_baseline(models, None).title), help=about)
with right:
    protocol = pick_protocol(lab, models[0].first, shown.dataset_id)
whole = cached.comparison(lab, shown.study_id, baseline, protocol, shown.dataset_id, seed)
overlap_note(lab, runs[0].dataset, shown.dataset_id)
caveats.show(cached.dataset(lab, shown.dataset_id), runs)
for sentence in sentences(whole):
    st.markdown("- " + plain(sentence))
table = rows.pick_rows(whole)
said = caption(whole, shown.dataset_id, protocol)
if table.empty:
    st.info("No model passes these filters.", icon=":material/filter_alt_off:")
else:
    rows.papers_table(lab, table, whole, shown.study_id)
    st.caption(plain(said))
    rows.downloads(table, said, f"compare-{shown.study_id or 'models'}-{shown.dataset_id}-{protocol}")
several_sets(lab, shown.study_id, seed, protocol)
charts.along_settings(table, whole)
charts.front(table)
rows.published_note(whole, cached.dataset(lab, shown.dataset_id))
if len(table):
    st.subheader("At a glance", anchor=False)
    chart(models_figure(table, groups_of(table)), "models", "accuracy of every model on every group")
    st.caption(
        "Further right is more accurate; a shorter grey line is fairer. Bar: the mean with its 95 % interval. Hover "
        "for the intervals of the groups."
    )
