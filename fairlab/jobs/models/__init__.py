"""Bringing in models: checkpoints and ONNX, scores, embeddings."""
