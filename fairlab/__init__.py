"""FairLab: a lab for fair face recognition by knowledge distillation."""

__version__ = "0.1.0"
