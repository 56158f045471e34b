"""Verification: who is taken for whom, per group: ROC, DET, scores, TAR at FAR."""

import streamlit as st

from fairlab.ui.frame import cached, caveats
from fairlab.ui.frame.numbers import pick_protocol
from fairlab.ui.frame.overlaps import overlap_note
from fairlab.ui.frame.page import start, stop
from fairlab.ui.frame.pickers import choose_many, pick_models, pick_space, title_of, trained_on
from fairlab.ui.judge import behind, chosen, counted, protocols
from fairlab.ui.judge.evidence import evidence, pick_attributes, results, too_many
from fairlab.ui.judge.operating import pick_operating_point
from fairlab.ui.verification import figures

lab = start("Verification", "Two images: the same person or not? Rates per group, with 95 % intervals over people.")
shown = pick_models(lab, "numbers")
data = cached.dataset(lab, shown.dataset_id)
columns = st.columns([2, 1.3, 2, 1.3])
with columns[0]:
    run = pick_space("Model", shown.models, "model", ("student", "adaptor", "baseline", "teacher"))
with columns[1]:
    protocol = pick_protocol(lab, run, shown.dataset_id)
titles = {model.run_id: title_of(model, shown.models) for model in shown.models}
with columns[2]:
    more = choose_many(
        "Overlay",
        [name for name in titles if name != run.run_id],
        "over",
        titles,
        placeholder="other models",
        help="Adds other models of the study to the figure, each with its own line style.",
    )
with columns[3]:
    by = pick_attributes(data)
picked = chosen.pick_selection(lab, data)
overlap_note(lab, trained_on(lab, run), shown.dataset_id)
caveats.show(data, [run])
if not protocol or too_many(run, data, protocol, picked):
    figures.stored(lab, run, data, protocol, picked)
    counted.further(lab, run, data)
    protocols.panel(lab, run, data)
    stop()
found = evidence(lab, run, data, protocol, by, picked)
point, at = pick_operating_point(found)
beside = figures.beside(lab, [model for model in shown.models if model.run_id in more], data, found, by)
figures.curves([found, *beside], at, titles)
st.subheader("At the operating point", anchor=False)
figures.operating_table(at, results(found).metrics)
st.subheader("Scores of every group", anchor=False)
figures.distributions(found, at)
if picked is None:
    figures.score_files(lab, run, protocol, data)
st.subheader("True accept rate at a false match rate", anchor=False)
figures.tar_tables(results(found).metrics, found.names, found.settings.fmr_targets, f"metrics-{run.run_id}-{protocol}")
behind.sections(lab, found, point, shown.models, data, by)
chosen.end_here(picked, "Accuracies of other tools, score files, all comparisons and identification")
st.subheader("Accuracy, here and in other tools", anchor=False)
figures.peer_table(found, at, cached.protocol_metrics(lab, run.run_id, shown.dataset_id, protocol))
counted.further(lab, run, data)
protocols.panel(lab, run, data)
