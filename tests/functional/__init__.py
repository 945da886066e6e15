"""Tests that drive the built programs as a user would."""
