"""The commands, one file each: a frozen class `Options`, and `run(options)`, which returns the exit status.

A file put here is found by its name: `import_algoperf.py` is `pacer import-algoperf`. The first line of the
docstring of `Options` says in `pacer --help` what the command does. `EXAMPLES` are command lines that its own
help shows, `ALIASES` other names of the command. Whatever imports torch, ray or mlflow is imported by `run`, so
that help and refusals come at once.
"""
