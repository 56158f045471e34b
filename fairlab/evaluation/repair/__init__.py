"""Repair without training: scores of the same pairs made again, from what a cohort of other people shows.

One file per idea. A repair is fitted once on a cohort, people outside the test and outside the model's training data, and applied
to scores; what it fitted is arrays and numbers that can be kept (base.Fitted). To add one, write a class as base.Repair says and
register it in base.REPAIRS; pages, command and tests take the list from there.

May import evaluation's own files. Needs numpy and scipy only: clusters are given by centres, whoever finds them.
"""
