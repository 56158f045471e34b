"""Students that a study leaves out of its combinations, as grid.leave_out says."""

from __future__ import annotations

from fairlab.errors import FairLabError
from fairlab.plan.axes import names, value_at
from fairlab.plan.plan import Builder
from fairlab.settings.base import nearest
from fairlab.settings.study import Study

FACES, METHOD = "learn_from", "method"


def check(study: Study) -> None:
    """Raise FairLabError for a table of grid.leave_out that names what the study does not have."""
    choices = {FACES: study.grid.learn_from, METHOD: (*study.students, *study.grid.relatives, "classifier")}
    for table in study.grid.leave_out:
        for name, value in table.items():
            if name in choices and value not in choices[name]:
                raise FairLabError(
                    f"grid.leave_out: there is no {name} {value!r}; this study has: {', '.join(choices[name])}"
                    f"{nearest(str(value), choices[name])}"
                )
            if name not in choices and name not in names(study):
                known = [*choices, *names(study)]
                raise FairLabError(
                    f"grid.leave_out: there is no setting {name!r}; name learn_from, method or a setting{nearest(name, known)}"
                )


def left_out(builder: Builder, portion: str, method: str) -> bool:
    """Is a student of these faces and this method left out? The tables that say so are noted as used."""
    study = builder.study
    here = {FACES: portion, METHOD: method}
    met = [
        place
        for place, table in enumerate(study.grid.leave_out)
        if all((here[name] if name in here else value_at(study, name)) == value for name, value in table.items())
    ]
    builder.left_out.update(met)
    return bool(met)
