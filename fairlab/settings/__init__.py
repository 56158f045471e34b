"""Every setting of FairLab: typed, with limits, its default and one sentence on what it does.

One file per idea; `study` joins them to what a study and a run are told. `base` says what a group of settings is, `user` holds what
belongs to an account and not to a workspace. The sentence under a field is its help in the command line and on the Launch page.

May import the ground (errors, files, registry, characters, structured) and machine/, nothing else: everything above reads
settings. To add one: a field with a default and a sentence in the file of its idea; every number needs its largest and smallest
value, every text its length (`tests/settings/test_base.py` walks over all of them). The real default stands in the field.
None is for nothing: no limit, nobody held out, not known; the sentence then says what "Empty" means. A loss or method has a
class of its own, see `loss` and `distillation`.
"""
