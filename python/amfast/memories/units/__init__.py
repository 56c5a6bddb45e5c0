"""What memories of units of -1 and +1 share."""
