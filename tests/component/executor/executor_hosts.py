"""Real hosts as servers of the registry."""


def enrol(registry, host, name, **hop):
    """A server without an agent that SSH gets to; its id. `hop`: other fields of SshHop, None: without."""
    trusted = {"hostKey": {"fingerprint": host.fingerprint}, "user": "root"}
    password = {"secret": {"password": host.account(hop.get("user", "root")).password}}
    fields = {key: value for key, value in (trusted | password | hop).items() if value is not None}
    return registry.put_host(name, host.address, fields)
