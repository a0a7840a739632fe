"""The machine at hand: its devices, processes and files, and what the kernel keeps a submission from."""
