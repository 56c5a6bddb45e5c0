"""Checked arrays in, arrays out: what the engine is asked, in tiles. No checks, no names."""
