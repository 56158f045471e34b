"""Compare: a study in the papers' layout, a row per model, and what differs beyond chance."""

import streamlit as st

from fairlab.plots.study import models_figure
from fairlab.ui import cached
from fairlab.ui.comparing import groups_of, paper_table, pick_seed
from fairlab.ui.headline import sentences
from fairlab.ui.numbers import download, pick_protocol
from fairlab.ui.overlaps import overlap_note
from fairlab.ui.page import chart, plain, start
from fairlab.ui.pickers import choose, pick_models, title_of

lab = start(
    "Compare", "All models of a study on the same pairs: accuracy per group, mean, STD, SER, cost, paired differences."
)
shown = pick_models(lab, "numbers")
models = shown.models
left, middle, right = st.columns([3, 2, 1])
titles = {model.run_id: title_of(model, models) for model in models}
undistilled = next((n for n, model in enumerate(models) if (model.role, model.method) == ("student", "classifier")), 0)
with left:
    baseline = choose(
        "Baseline",
        list(titles),
        "base",
        titles,
        index=undistilled,
        help="Every model is compared with the run of this title and the same seed.",
    )
with middle:
    protocol = pick_protocol(lab, models[0], shown.dataset_id)
whole = cached.comparison(lab, shown.study_id, baseline, protocol, shown.dataset_id)
with right:
    table = pick_seed(whole)
overlap_note(lab, models[0].dataset, shown.dataset_id)
for sentence in sentences(table):
    st.markdown("- " + plain(sentence))
st.table(paper_table(table), border="horizontal", hide_index=True)
row = table.iloc[0]
st.caption(
    f"Accuracy in %: ten folds, a threshold for each group, as in the papers; {row['genuine_pairs']:,} genuine and "
    f"{row['impostor_pairs']:,} impostor pairs. Small: 95 % intervals over redrawn people. Bold: best of the column. "
    "Difference: in points of mean accuracy against the baseline, same pairs and same redrawn people; p: how often "
    f"chance alone would show as much. A perfectly fair model as accurate as the first row would show STD up to "
    f"{row['std_fair_p95']:.1f}. CPU: processor seconds of the run; small: with everything it builds on, the data aside."
)
download(whole, f"compare-{shown.study_id or 'models'}-{shown.dataset_id}-{protocol}")
st.subheader("At a glance", anchor=False)
chart(models_figure(table, groups_of(table)), "models", "accuracy of every model on every group")
st.caption(
    "A row far right is accurate, a short grey line is even-handed; bar: mean with its 95 % interval. Hover for the intervals of the groups."
)
