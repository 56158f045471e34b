"""What one run learns: one file per idea, all with the same contract, so that one loop trains them all."""
