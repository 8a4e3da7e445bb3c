#!/usr/bin/env bash
# Installs the system packages that are missing, by what they provide, when root or passwordless sudo allows it
# (Debian, Ubuntu). Otherwise one line says what to install.
#
#   system-packages.sh venv PYTHON   what `python -m venv` needs
#   system-packages.sh run           what CASA's graphical tasks need (plotms, imview, ...)
#   system-packages.sh ui            the browser of the user-interface tests
#   system-packages.sh stores        file systems on which the stores are tested, as far as they can be mounted here
#   system-packages.sh zfs-vm        what makes the virtual machine in which OpenZFS is tested (zfs-vm.sh)
#   system-packages.sh bench         file systems with reflinks to measure on
set -euo pipefail

missing=()
need_command() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need_library() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -F "$1" >/dev/null || missing+=("$2"); }

case ${1:-} in
  venv)
    "$2" -c 'import ensurepip, venv' 2>/dev/null ||
      missing+=("$("$2" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    ;;
  run)
    need_command Xvfb xvfb
    # plotms, imview and browsetable are AppImages: a Perl starter, and these libraries which they do not carry.
    need_command perl perl
    need_library libfontconfig.so.1 libfontconfig1
    need_library libglib-2.0.so.0 libglib2.0-0
    # With FUSE they are mounted; without it (most containers have no /dev/fuse) each start unpacks them.
    if [ -e /dev/fuse ]; then
      need_library libfuse.so.2 libfuse2
      need_command fusermount fuse3
    fi
    ;;
  ui)
    command -v "${CHROMIUM:-chromium}" >/dev/null 2>&1 || missing+=(chromium)
    ;;
  stores)
    # Only root can mount them; the tests say what they could not test.
    if [ "$(id -u)" -eq 0 ]; then
      PATH=$PATH:/sbin:/usr/sbin need_command mkfs.btrfs btrfs-progs
      PATH=$PATH:/sbin:/usr/sbin need_command mkfs.xfs xfsprogs
      # Where there is OpenZFS, that is what is tested; Debian has zfs-fuse take its place otherwise.
      PATH=$PATH:/sbin:/usr/sbin need_command zfs zfs-fuse
    fi
    # A disk that fails is a file system of our own.
    if [ -e /dev/fuse ]; then
      need_command fusermount3 fuse3
      need_library libfuse3.so.3 libfuse3-3
    fi
    ;;
  zfs-vm)
    need_command qemu-system-x86_64 qemu-system-x86
    need_command cpio cpio
    need_command gcc gcc
    need_command make make
    need_command bc bc
    need_library libelf.so.1 libelf1
    need_command xz xz-utils
    ;;
  bench)
    PATH=$PATH:/sbin:/usr/sbin need_command mkfs.btrfs btrfs-progs
    PATH=$PATH:/sbin:/usr/sbin need_command mkfs.xfs xfsprogs
    ;;
  *)
    echo "usage: $0 venv PYTHON | run | ui | stores | zfs-vm | bench" >&2
    exit 2
    ;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "Please install (Debian names): ${missing[*]}" >&2
  exit 1
elif [ "$(id -u)" -eq 0 ]; then
  run=(env DEBIAN_FRONTEND=noninteractive)
elif sudo -n true 2>/dev/null; then
  run=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
  echo "Please run: sudo $install" >&2
  exit 1
fi

echo "System packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # the words of $install are its arguments
if ! { "${run[@]}" $install || { "${run[@]}" apt-get update && "${run[@]}" $install; }; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "Could not install; please run: $install" >&2
  exit 1
fi
