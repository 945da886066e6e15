"""What wherry's tests, ./check and ./quickstart share. Python's standard library only."""
