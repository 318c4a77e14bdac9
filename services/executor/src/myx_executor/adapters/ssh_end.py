"""The script that ends what was begun on a host, and says whether that is proved."""

from collections.abc import Sequence

# Every command has its mark in this variable; what it starts has it too, in whatever session or group, unless it is
# started with an environment of its own.
MARK_VARIABLE = "MYX_SSH"

# Arguments: the variable, the beginning of a mark (apart: sudo puts our arguments into our own environment), process
# groups. Prints `gone` once nothing of it is left.
_SCRIPT = r"""
mark=$1=$2; shift 2
tries=0
while [ "$tries" -lt 100 ]; do
  left=
  for group; do kill -KILL "-$group" 2>/dev/null && left=yes; done
  found=$(grep -lsF "$mark" /proc/[0-9]*/environ)
  [ $? -le 2 ] || exit 3
  for file in $found; do
    pid=${file#/proc/}
    kill -KILL "${pid%/environ}" 2>/dev/null && left=yes
  done
  [ -n "$left" ] || { echo gone; exit; }
  tries=$((tries + 1))
  sleep 0.05 || sleep 1
done
exit 1
"""


def end_command(mark: str, groups: Sequence[int]) -> list[str]:
    """Kills, as root, what has a mark that begins so, and these process groups; prints PROVED when nothing is left."""
    return ["/bin/sh", "-c", _SCRIPT, "sh", MARK_VARIABLE, mark, *map(str, groups)]


PROVED = "gone\n"
