"""1:N: galleries and probes, rank-k, FPIR and FNIR."""
