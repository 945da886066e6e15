"""A QEMU guest with cgroup v2, systemd, all capabilities and Debian 12's own kernel 6.1."""
