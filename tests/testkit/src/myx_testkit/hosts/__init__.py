"""Real hosts for tests: Debian with systemd as PID 1, real sshd, its own network; up within a second, root only.

Tests take them by fixture::

    def test_something(host: Host) -> None:               # a fresh one
        host.exec("systemctl is-active ssh")              # inside, without network; checked, output in .stdout
        host.ssh("id -u", user="ops")                     # over the network, as an operator would

    def test_many(host_lab: HostLab) -> None:
        one = host_lab.host("one", python=False, network=False, disk_mb=600)
        eight = host_lab.hosts(8)                         # booted in parallel

The session's fixture closes what a test leaves open only at the end: `with host_lab.host() as one:` closes it earlier.

Every host has (see `accounts`) root and `ops` (sudo without a password), `sudoer` (sudo asks for the password) and
`nosudo` (may not), each with a password and with the lab's key. `lab.key` is that key's file, `lab.locked_key` the same
key behind `lab.passphrase`, `lab.other_key` one that no host knows. `host.host_key` and `host.fingerprint` are what an
operator compares.

What can be done to a host: `power_off power_cut boot reboot`, `freeze thaw` (all of it stops, connections stay open),
`cut heal` (its cable), `block_port unblock_ports` (a firewall on it), `slow full_speed` (delay and loss), `fill_disk
free_disk` (hosts made with `disk_mb`), `change_host_key`, `remove_python give_python`, `no_internet internet`, `save
restore` (its disk), `inventory` (files, units, users: compare two). Its clock is the machine's: no container can have
another.

Cached outside of the checkout in $MYX_TEST_HOSTS (default /var/tmp/myx-hosts): `bookworm` (by debootstrap, once,
about a minute), `layers/…` (accounts, baked packages: `host_lab.host(packages=("jq",))`), `labs/<pid>` (what runs).
Several test processes do not meet; what a killed one left is swept by the next. `net.ipv4.ip_forward` is switched on
and stays on, nothing else remains.
"""
