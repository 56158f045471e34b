"""Networks: images to embeddings, and teachers' embeddings to the common space."""
