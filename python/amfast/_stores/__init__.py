"""What memories keep: an empty store is neutral, `append` adds rows, `merge` adds two stores."""
