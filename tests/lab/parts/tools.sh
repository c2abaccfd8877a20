#!/usr/bin/env bash
# Tools that tests use on the program itself: strace puts errors into single system calls.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

install() { debian strace; }
up() { :; }
down() { :; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=tools; "$@"; fi
