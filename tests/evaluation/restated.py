"""The peers' rules spelled out slowly, a pass over all pairs for each threshold: what compat must equal to the last digit."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold


def insightface(distances: np.ndarray, genuine: np.ndarray) -> dict[str, np.ndarray]:
    """Per-fold accuracy, chosen thresholds, and TPR and FPR at each threshold, averaged over the test folds."""
    grid = np.arange(0, 4, 0.01)

    def at(threshold: float, rows: np.ndarray) -> tuple[float, float, float]:
        match, same = distances[rows] < threshold, genuine[rows]
        hits, false = int(np.sum(match & same)), int(np.sum(match & ~same))
        positives, negatives = int(np.sum(same)), int(np.sum(~same))
        tpr = hits / positives if positives else 0.0
        fpr = false / negatives if negatives else 0.0
        return tpr, fpr, (hits + negatives - false) / len(rows)

    accuracy, thresholds = np.zeros(10), np.zeros(10)
    tprs, fprs = np.zeros((2, 10, len(grid)))
    for fold, (train, test) in enumerate(KFold(10).split(distances)):
        best, most = 0, -1.0
        for number, threshold in enumerate(grid):
            share = at(threshold, train)[2]
            if share > most:
                best, most = number, share
        for number, threshold in enumerate(grid):
            tprs[fold, number], fprs[fold, number], _ = at(threshold, test)
        thresholds[fold] = grid[best]
        accuracy[fold] = at(grid[best], test)[2]
    return {
        "per_fold": accuracy, "thresholds": thresholds, "tpr": np.mean(tprs, 0), "fpr": np.mean(fprs, 0),
        "mean": np.mean(accuracy), "std": np.std(accuracy),
    }  # fmt: skip


def facex(scores: np.ndarray, genuine: np.ndarray) -> dict[str, np.ndarray]:
    """Per-fold accuracy, chosen thresholds, mean and standard error of 6,000 scores in single precision."""
    table, labels = scores.astype(np.float32).reshape(10, 600), genuine.reshape(10, 600)
    accuracy, thresholds = [], []
    for fold in range(10):
        train, same = np.delete(table, fold, 0).ravel(), np.delete(labels, fold, 0).ravel()
        low, high = np.min(train), np.max(train)
        best, most = np.nan, -np.inf
        for threshold in low + (high - low) / 1000 * np.arange(1, 1001):
            tpr = np.sum(train[same] > threshold) / np.sum(same)
            fpr = np.sum(train[~same] > threshold) / np.sum(~same)
            if tpr - fpr > most:
                best, most = threshold, tpr - fpr
        above, below = table[fold] > best, table[fold] < best
        accuracy.append((np.sum(above & labels[fold]) + np.sum(below & ~labels[fold])) / 600)
        thresholds.append(best)
    return {
        "per_fold": np.array(accuracy), "thresholds": np.array(thresholds),
        "mean": np.mean(accuracy), "error": np.std(accuracy, ddof=1) / np.sqrt(10),
    }  # fmt: skip
