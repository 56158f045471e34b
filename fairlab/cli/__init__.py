"""The command line: `main` finds the command, a module per noun parses and carries it out, `show` and its neighbours print.

The grammar is `fairlab NOUN COMMAND`: data, models, studies, runs, storage, settings, named as the pages are. Verbs that people
look for first stand alone, and only there: demo, launch, watch, compare, evaluate, fairness, app, link, doctor. To add a command:
a line in the noun's parser, a function that calls `Lab`, a line in the README's table; a noun or verb needs a line in `main`.

argparse carries it (measured: import 0.05 CPU seconds, cyclopts 0.20 with four further packages, typer 0.14 with two), with
argcomplete for shells. Only the module of the command asked for is imported: `fairlab --help` takes 0.4 CPU seconds. May
import `api` and everything below it, never ui/. A worker must have its lock before torch is loaded, so `work` imports late.
"""
