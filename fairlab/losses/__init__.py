"""Margin classifiers: from embeddings and identities to the logits of a cross-entropy."""
