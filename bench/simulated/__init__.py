"""Whole universes of real engines in virtual time: how soon they heal, and what talking costs."""
