"""Forgetting somebody: who is reached, a plan that survives a kill, everything written anew beside, then put in place."""
