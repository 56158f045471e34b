"""Tests of the sections that Verification and Fairness share."""
