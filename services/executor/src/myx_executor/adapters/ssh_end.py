"""The script that ends what was begun on a host, and says whether that is proved."""

from collections.abc import Sequence

# Every command has its mark in this variable; what it starts has it too, in whatever session or group, unless it is
# started with an environment of its own.
MARK_VARIABLE = "MYX_SSH"
PROVED = "gone\n"
_LOOKS_PER_S = 20

# Arguments: the variable, the beginning of a mark (apart: sudo puts our arguments into our own environment), how many
# looks all of it may take over its end, process groups. What fled from them has its turn last. Prints `gone` once
# nothing of it is left.
_SCRIPT = r"""
mark=$1=$2 patience=$3; shift 3
tries=0 signal=TERM fled=TERM
while [ "$tries" -lt $((patience + 100)) ]; do
  [ "$tries" -lt "$patience" ] || signal=KILL fled=KILL
  left=
  for group; do kill "-$signal" "-$group" 2>/dev/null && left=yes; done
  if [ -z "$left" ]; then
    found=$(grep -lsF "$mark" /proc/[0-9]*/environ)
    [ $? -le 2 ] || exit 3
    for file in $found; do
      pid=${file#/proc/}
      kill "-$fled" "${pid%/environ}" 2>/dev/null && left=yes
    done
    fled=0
  fi
  [ -n "$left" ] || { echo gone; exit; }
  signal=0
  tries=$((tries + 1))
  sleep 0.05 || sleep 1
done
exit 1
"""


def end_command(mark: str, groups: Sequence[int], grace_s: float) -> list[str]:
    """Ends process groups by TERM, a grace and KILL, then what has a mark that begins so; to be run as root.

    It prints PROVED when nothing of it is left.
    """
    looks = int(grace_s * _LOOKS_PER_S)
    return ["/bin/sh", "-c", _SCRIPT, "sh", MARK_VARIABLE, mark, str(looks), *map(str, groups)]
