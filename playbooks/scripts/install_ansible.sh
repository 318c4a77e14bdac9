#!/bin/sh
# install_ansible.sh ARCHIVE [--python PYTHON] [--index-url URL]
# Puts Ansible for execute_ansible onto this host, in an environment of its own: /opt/myx-agent/ansible/<id>, current.
# ARCHIVE: uv, wheels/, requirements.txt, RELEASE.json. Nothing is done when it is there already. An index URL may also
# come in the variable MYX_INDEX_URL, where no process list shows it.
set -eu
LC_ALL=C.UTF-8
export LC_ALL
umask 022

say() { echo "install_ansible: $*" >&2; }
die() { say "$*"; exit 1; }

BASE=${MYX_ANSIBLE_DIR:-/opt/myx-agent/ansible}
archive='' python='' index=${MYX_INDEX_URL:-}
while [ $# -gt 0 ]; do
    case $1 in
    --python) python=${2:?}; shift ;;
    --index-url) index=${2:?}; shift ;;
    -*) die "unknown option $1" ;;
    *) archive=$1 ;;
    esac
    shift
done
[ -f "$archive" ] || die "there is no archive ${archive:-(none given)}"
mkdir -p -- "$BASE"
exec 9>"$BASE/.lock"
flock -w 600 9 || die "another installation of Ansible is under way"

# What killed installations left.
rm -rf -- "$BASE"/.parts.*
for path in "$BASE"/*/; do
    [ -e "$path" ] && [ ! -L "${path%/}" ] && [ ! -f "$path/INSTALLED" ] && rm -rf -- "$path"
done

parts=$(mktemp -d "$BASE/.parts.XXXXXX")
trap 'rm -rf -- "$parts"' EXIT
trap 'exit 143' TERM INT HUP

tar -xf "$archive" -C "$parts" requirements.txt RELEASE.json || die "$archive is not a whole archive"
wanted=$(sed -n 's/.*"python": *"\([0-9.]*\)".*/\1/p' "$parts/RELEASE.json")
id=$( (cat "$parts/requirements.txt" && echo "$wanted") | sha256sum | cut -c -16)
place=$BASE/$id
arch=$(sed -n 's/.*"arch": *"\([a-z0-9_]*\)".*/\1/p' "$parts/RELEASE.json")
[ -n "$wanted" ] || die "$archive says no Python"
[ "$arch" = any ] || [ "$arch" = "$(uname -m)" ] || die "the archive is for $arch, this host is $(uname -m)"

works() { [ -f "$place/INSTALLED" ] && "$place/bin/python" -I -c 'import ansible, ansible_runner' 2>/dev/null; }
point() {
    [ "$(readlink "$BASE/current" 2>/dev/null)" = "$id" ] && return
    ln -sfn "$id" "$BASE/current.new"
    mv -T -f "$BASE/current.new" "$BASE/current"
}
version() { "$place/bin/python" -I -c 'import ansible.release as r; print(r.__version__)'; }

if works; then
    point
    echo "ansible-core $(version) is there already"
    exit 0
fi

version_of() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
found=''
for choice in "$python" /opt/myx-agent/current/bin/python "python$wanted" python3; do
    [ -n "$choice" ] || continue
    path=$(command -v "$choice" 2>/dev/null) || continue
    if [ "$(version_of "$path")" = "$wanted" ]; then
        found=$(readlink -f "$path")
        break
    fi
    [ "$choice" != "$python" ] || die "$python is not the Python $wanted that the archive is for"
done
[ -n "$found" ] || die "there is no Python $wanted on this host"

needed=$((($(stat -c %s "$archive") * 4 >> 20) + 64))
free=$(df -Pm "$BASE" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$needed" ] || die "not enough room in $BASE: $free MB are free, $needed MB are needed"

rm -rf -- "$place"
tar -xf "$archive" -C "$parts" --no-same-owner || die "$archive is not a whole archive"
uv=$parts/uv
chmod 700 "$uv"
export UV_CACHE_DIR="$parts/cache" UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=hardlink UV_NO_PROGRESS=1 HOME="$parts" TMPDIR="$parts"
"$uv" venv --quiet --no-project --python "$found" "$place"
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="$index" UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
    set --
else
    set -- --offline --no-index --find-links "$parts/wheels"
fi
"$uv" pip install --quiet --python "$place/bin/python" --require-hashes --only-binary :all: "$@" -r "$parts/requirements.txt" ||
    { rm -rf -- "$place"; die "the packages cannot be installed"; }
"$place/bin/python" -I -c 'import ansible, ansible_runner' || { rm -rf -- "$place"; die "Ansible does not start"; }
[ -x /usr/sbin/restorecon ] && /usr/sbin/restorecon -R "$place" 2>/dev/null || true
sync -f "$place" 2>/dev/null || true
: >"$place/INSTALLED"
sync "$place/INSTALLED" "$place"
previous=$(readlink "$BASE/current" 2>/dev/null || true)
point

# Older ones go; the previous one stays for plays that run with it.
for path in "$BASE"/*/; do
    name=$(basename "$path")
    case $name in current | "$id" | "$previous") ;; *) rm -rf -- "$path" ;; esac
done
echo "installed ansible-core $(version)"
