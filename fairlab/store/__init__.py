"""What is remembered: run folders (the truth), embeddings, indexes, maps, and the catalogue over them."""
