"""A clock that can be moved for one program: faketime's idea in thirty lines, its package is not everywhere."""

import os
import shutil
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *text;

static long moved(void) {
    if (!text) {
        const char *path = getenv("MYX_TEST_CLOCK");
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *map = file < 0 ? MAP_FAILED : mmap(0, 32, PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        text = map == MAP_FAILED ? "0" : map;
    }
    return strtol(text, 0, 10);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int status = syscall(SYS_clock_gettime, clock, at);
    if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += moved();
    return status;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class MovableClock:
    """Programs started with `environment` see the clock of the calendar moved by what `move` said last."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.library, self.file = folder / "clock.so", folder / "seconds"
        source = folder / "clock.c"
        source.write_text(_SOURCE)
        compiler = compiler_here()
        assert compiler, "a C compiler is needed"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", self.library, source], check=True, timeout=60)
        self.file.write_bytes(b"0".ljust(32, b"\0"))

    @property
    def environment(self) -> dict[str, str]:
        """What the program needs."""
        return {"LD_PRELOAD": str(self.library), "MYX_TEST_CLOCK": str(self.file)}

    def move(self, seconds: int) -> None:
        """Show the real time and so many seconds from now on, also in programs that run already."""
        with self.file.open("r+b") as file:
            os.pwrite(file.fileno(), str(seconds).encode().ljust(32, b"\0"), 0)


def compiler_here() -> str:
    """A C compiler; empty: there is none."""
    return shutil.which("cc") or ""
