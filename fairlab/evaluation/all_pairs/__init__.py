"""Every image against every other: counted in blocks on a grid of thresholds, with intervals over people."""
