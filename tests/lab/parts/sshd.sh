#!/usr/bin/env bash
# OpenSSH's server. tests/sshd.rs starts one of its own on loopback, whose only key runs `quarterdeck attach`; Debian would
# start it at port 22, which the installation here keeps it from.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

install() { debian openssh-server openssh-client; }
up() { :; }
down() { :; }
if [ "${BASH_SOURCE[0]}" = "$0" ]; then PART=sshd; "$@"; fi
