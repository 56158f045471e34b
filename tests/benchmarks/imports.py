"""`python -m tests.benchmarks.imports`: CPU seconds that imports cost, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

WHAT = {
    "pages (fairlab.ui.*)": "import fairlab.ui.spaces.maps, fairlab.ui.launch.plans, fairlab.ui.runs.live, fairlab.ui.fairness.measures",
    "evaluation": "import fairlab.evaluation",
    "streamlit": "import streamlit",
    "worker (with torch)": "import fairlab.jobs.worker, fairlab.training.loop, fairlab.methods.base",
    "umap": "import umap",
}


def main() -> int:
    for name, code in WHAT.items():
        script = f"import time; t = time.process_time(); {code}; print(time.process_time() - t)"
        times = [
            float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
            for _ in range(3)
        ]
        print(f"{name:24} {sorted(times)[1]:.2f} CPU s (median of 3)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
