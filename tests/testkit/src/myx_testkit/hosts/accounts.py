"""Who can log in to the hosts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """A login; `sudoers` is its line in /etc/sudoers.d without the name, empty when sudo refuses it."""

    name: str
    password: str
    sudoers: str = ""

    @property
    def home(self) -> str:
        """Its folder on the host."""
        return "/root" if self.name == "root" else f"/home/{self.name}"


ROOT = Account("root", "root-password-1")
OPS = Account("ops", "ops-password-2", "ALL=(ALL) NOPASSWD:ALL")
SUDOER = Account("sudoer", "sudoer-password-3", "ALL=(ALL) ALL")
NOSUDO = Account("nosudo", "nosudo-password-4")
ACCOUNTS = {account.name: account for account in (ROOT, OPS, SUDOER, NOSUDO)}
PASSPHRASE = "passphrase-5"
