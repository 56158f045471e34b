"""The job that trains a space: what it learns from, the training, then its embeddings and numbers."""
