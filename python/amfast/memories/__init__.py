"""The memories: each chooses parts and a store. `base` has what they share."""
