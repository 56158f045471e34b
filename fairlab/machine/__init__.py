"""What FairLab asks the machine: its GPUs, what a folder lies on, which processes live, whose temporary files are whose.

The lowest room: may import `errors` alone. It knows nothing of runs or data; what a run does with a GPU is decided above.
"""
