"""Runs a Python script whose one terminal was opened before it was locked in: /dev/pts holds the terminals of others.

python sandbox_pty.py SCRIPT, with MYX_PTY=MASTER,SLAVE in the environment. Standard library only.
"""

import errno
import fcntl
import os
import runpy
import sys
import termios
import warnings

VARIABLE = "MYX_PTY"


def main() -> None:
    """Stands in for os.forkpty once, then becomes the script."""
    pair = [int(fd) for fd in os.environ.pop(VARIABLE).split(",")]
    for fd in pair:
        os.set_inheritable(fd, False)

    def forkpty() -> tuple[int, int]:
        if not pair:
            raise OSError(errno.ENOENT, "there is one terminal only")
        master, slave = pair
        pair.clear()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads, as of the fork that this one stands in for; it would show in each log.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            os.close(slave)
            return pid, master
        os.close(master)
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.close(slave)
        return 0, -1

    os.forkpty = forkpty
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
