"""Images and pairs, and where they come from. No torch.

On this level: a data set of the workspace (`dataset`), what a reader hands over (`listing`), pixels, alignment, groups, who is held
out, what a run learns from. Below it lies formats/, the containers; above it names/ (what names of files and folders tell), inspect/ (a
look before data are believed), demo/ (the generated faces), and on top readers/, one file per kind of data that a user can add.

May import the ground, machine/ and settings/. `tests/test_architecture.py` refuses an import that points up between these rooms.
"""
