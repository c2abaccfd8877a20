"""What the programs beside this folder share: commands, the lab's environment, a process as the kernel counts it."""
import os
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, capture_output=True, **more).stdout


def environment(lab):
    """What a lab with its state in this folder has put into its environment; nothing where none is up."""
    path = os.path.join(lab, "env")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        pairs = (line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        return {name: value.strip("'") for name, value in pairs}


def stat(pid):
    """The fields of a process behind its name: proc_pid_stat(5), from the third on."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()
