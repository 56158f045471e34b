"""Compare: a study in the papers' layout, a row per model, and what differs beyond chance."""

import streamlit as st

from fairlab.ui import cached
from fairlab.ui.comparing import paper_table
from fairlab.ui.headline import sentences
from fairlab.ui.numbers import download
from fairlab.ui.page import duration, plain, start
from fairlab.ui.pickers import choose, pick_study, title_of

lab = start(
    "Compare",
    "All models of a study on the same pairs: accuracy per group, mean, STD, SER, cost, and paired differences.",
)
study, models = pick_study(lab)
left, right = st.columns([2, 1])
titles = {model.run_id: title_of(model, models) for model in models}
plain_student = next(
    (n for n, model in enumerate(models) if model.role == "student" and model.method == "classifier"), 0
)
with left:
    baseline = choose(
        "Baseline",
        list(titles),
        "base",
        titles,
        index=plain_student,
        help="Every model is compared with the run of this title and the same seed.",
    )
with right:
    protocol = choose(
        "Pairs",
        ["test", "validation"],
        "pairs",
        {"test": "test pairs", "validation": "validation pairs (for choosing settings)"},
    )
table = cached.comparison(lab, study.study_id, baseline, protocol)
shown = paper_table(table)
st.dataframe(shown, hide_index=True, height=38 + 35 * len(shown))
row = table.iloc[0]
st.caption(
    f"Accuracy in %, ten folds, threshold per group as in the papers; {row['genuine_pairs']:,} genuine and {row['impostor_pairs']:,} impostor pairs. "
    "Intervals: 95 %, over redrawn people. Difference: in points of mean accuracy, same pairs and same redrawn people; p is the chance of such a "
    f"difference without any. A perfectly fair model as accurate as the first row would show STD up to {row['std_fair_p95']:.2f} by chance. "
    f"Cost: processor time, with all that a model builds on (the first row: {duration(row['total_cpu_s'])})."
)
download(table, f"compare-{study.study_id}-{protocol}")
for sentence in sentences(table):
    st.markdown("- " + plain(sentence))
