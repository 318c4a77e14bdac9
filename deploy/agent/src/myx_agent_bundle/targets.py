"""The hosts that a bundle serves: a Python and an architecture, glibc 2.17 or newer as its wheels ask."""

from dataclasses import dataclass

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHES = ("x86_64", "aarch64")
_NEWEST_GLIBC = 34  # the oldest supported host, Enterprise Linux 9
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_OLD_NAMES = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "aarch64": ("manylinux2014",)}


@dataclass(frozen=True, order=True)
class Target:
    python: str
    arch: str

    @property
    def platforms(self) -> list[str]:
        """Platform tags, best first."""
        glibcs = range(_NEWEST_GLIBC, _OLDEST_GLIBC[self.arch] - 1, -1)
        names = [f"manylinux_2_{minor}" for minor in glibcs] + list(_OLD_NAMES[self.arch])
        return [f"{name}_{self.arch}" for name in names]

    @property
    def environment(self) -> dict[str, str]:
        """What requirement markers see on such a host."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.arch,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


ALL = tuple(Target(python, arch) for python in PYTHONS for arch in ARCHES)
