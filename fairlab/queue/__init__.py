"""Starting runs: launch and dispatch, whose turn it is, what is free, how far a study is, and the engines that start processes.

There is no scheduler process; whoever looks starts what may start, under a lock. May import plan/ and what lies below. To add an engine:
one file in engines/, `@ENGINES.register("name")`.
"""
