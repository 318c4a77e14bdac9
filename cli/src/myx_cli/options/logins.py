"""Options that lead to the secrets of a login; none of them takes a secret itself."""

from argparse import ArgumentParser, _ArgumentGroup


def add_login(parser: "ArgumentParser | _ArgumentGroup") -> None:
    """Password or key, passphrase, password for sudo."""
    parser.add_argument("--password-file", metavar="FILE", help="file that holds the password")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--ask-password", action="store_true", help="ask for the password on the terminal")
    parser.add_argument("--key-file", metavar="FILE", help="file that holds the private key")
    parser.add_argument("--passphrase-file", metavar="FILE", help="file that holds the key's passphrase")
    parser.add_argument("--ask-passphrase", action="store_true", help="ask for the key's passphrase")
    parser.add_argument("--sudo-password-file", metavar="FILE", help="file that holds the password for sudo")
    parser.add_argument("--ask-sudo-password", action="store_true", help="ask for the password for sudo")
