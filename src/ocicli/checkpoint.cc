// `checkpoint` and `restore`: the work is CRIU's, a program of its own that is found through PATH.
