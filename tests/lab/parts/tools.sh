#!/usr/bin/env bash
# Tools that tests use: strace puts errors into single system calls of the program; pgBackRest, Patroni and a mail server
# (aiosmtpd) are started by the tests of the verbs that act on them.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

install() { debian strace pgbackrest patroni python3-aiosmtpd; }
up() { :; }
down() { :; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=tools; "$@"; fi
