"""The command line: `main` parses, a module per noun carries out, `show` and its neighbours print, `watch` follows runs.

May import `api` and everything below it, never ui/: whatever a command can do, a page can too, through the same functions. To add
a command: its parser in `main`, its function `do_NAME` in the module of its noun, its line in the README's table.

torch, umap and faiss are imported inside the functions that need them: a worker must have its lock before it loads torch.
"""
