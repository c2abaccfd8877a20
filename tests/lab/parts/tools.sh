#!/usr/bin/env bash
# Tools that tests use: mosh, screen and tmux stand between the console and a terminal; strace puts errors into single system calls of the program; pgBackRest, Patroni, a mail server
# (aiosmtpd), Prometheus and Alertmanager are started by the tests that ask them or act on them.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

install() { debian mosh screen strace tmux pgbackrest patroni python3-aiosmtpd prometheus prometheus-alertmanager; }
up() { :; }
down() { :; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=tools; "$@"; fi
