#!/usr/bin/env bash
# Installs PyMesos into a virtual environment: install.sh DIR
# Needs python3 with its headers and venv module, and a C compiler.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: install.sh DIR}
if [ -e "$dir/done" ] && "$dir/bin/python" -c 'import pymesos'; then
  exit 0
fi
rm -rf "$dir"
python3 -m venv "$dir"
pip="$dir/bin/pip --quiet --disable-pip-version-check"
$pip install 'cython==0.29.37' 'setuptools==65.5.0' 'wheel==0.48.0'
$pip download --no-deps --no-build-isolation --no-binary :all: --dest "$dir/src" 'http-parser==0.9.0'
tar -xzf "$dir/src/http-parser-0.9.0.tar.gz" -C "$dir/src"
"$dir/bin/cython" --no-docstrings -w "$dir/src/http-parser-0.9.0" http_parser/parser.pyx 2> "$dir/cython.log"
$pip install --no-build-isolation "$dir/src/http-parser-0.9.0"
$pip install -r "$here/requirements.txt"
"$dir/bin/python" -c 'import pymesos'
touch "$dir/done"
